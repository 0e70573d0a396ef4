"""Tool calls, observations, and the one rule by which two calls are equal."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isinf
from typing import Any, NamedTuple

from precall.errors import MalformedCallError


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool call as a model wrote it: `arguments` is its JSON text, untouched."""

    name: str
    arguments: str
    call_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a tool returned, as the text that enters the history. `duration_s` is the tool's own time, in seconds."""

    content: str
    is_error: bool = False
    duration_s: float | None = None


class CallKey(NamedTuple):
    """Identity of a tool call: its name and its arguments in canonical JSON."""

    name: str
    arguments: str


def canonical_key(call: ToolCall, parameters: Mapping[str, Any] | None = None) -> CallKey:
    """Return the key under which `call` is looked up; two calls are equal if and only if their keys are.

    The order of object keys and insignificant white space do not count. An integral number equals the same integer
    (1 and 1.0) only where `parameters`, the tool's JSON schema, says `number`. The contents of strings and the order
    of arrays always count. Source: ours; the paper asks for "exact" matches and leaves the rule open.

    Raises MalformedCallError when the arguments are not one JSON object, or name a key twice.
    """
    arguments = parse_arguments(call)
    try:
        canonical = _canonical(arguments, parameters)
        text = json.dumps(canonical, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except RecursionError as error:
        raise MalformedCallError(f"The arguments of {call.name} are nested too deep.") from error
    return CallKey(call.name, text)


def parse_arguments(call: ToolCall) -> dict[str, Any]:
    """Return the arguments as a dictionary. Empty text is an empty object, as some models write it.

    Raises MalformedCallError when the text is not one JSON object, or names a key twice.
    """
    text = call.arguments.strip() or "{}"
    try:
        arguments = parse_strict_json(text)
    except (ValueError, RecursionError) as error:
        raise MalformedCallError(f"The arguments of {call.name} are not valid JSON: {error}.") from error
    if not isinstance(arguments, dict):
        kind = type(arguments).__name__
        raise MalformedCallError(f"The arguments of {call.name} are a JSON {kind}; they must be an object.")
    return arguments


def parse_strict_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises ValueError where Python's own parser is lenient: a key named twice, NaN, infinities, a number out of range;
    and RecursionError when it is nested too deep.
    """
    return json.loads(text, object_pairs_hook=_unique_pairs, parse_constant=_refuse_constant, parse_float=_finite_float)


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object names a key twice")
    return result


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _finite_float(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ValueError(f"{text} is outside the range of a number")
    return number


def _canonical(value: Any, schema: Any) -> Any:
    if isinstance(value, dict):
        return {key: _canonical(item, _property_schema(schema, key)) for key, item in value.items()}
    if isinstance(value, list):
        items = schema.get("items") if isinstance(schema, Mapping) else None
        return [_canonical(item, items) for item in value]
    if isinstance(value, float) and value.is_integer() and _says_number(schema):
        return int(value)
    return value


def _property_schema(schema: Any, key: str) -> Any:
    if not isinstance(schema, Mapping):
        return None
    return schema.get("properties", {}).get(key, schema.get("additionalProperties"))


def _says_number(schema: Any) -> bool:
    if not isinstance(schema, Mapping):
        return False
    kinds = schema.get("type", ())
    if "number" in ([kinds] if isinstance(kinds, str) else kinds):
        return True
    return any(_says_number(branch) for word in ("anyOf", "oneOf", "allOf") for branch in schema.get(word, ()))
