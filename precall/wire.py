"""What client and engine say to each other: the types of `POST /cache-tool-output/{response_id}`, shared by both.

Source: the paper's table of the tool cache API. `running`, the secret and the options are ours.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, get_args, get_type_hints

from precall.calls import ToolCall, parse_strict_json
from precall.errors import ToolCacheError

ROUTE = "/cache-tool-output/{response_id}"
RESPONSE_ID_PREFIX = "chatcmpl-"
REQUEST_ID_HEADER = "X-Request-Id"
SECRET_HEADER = "X-Precall-Secret"
OPTIONS_FIELD = "precall"
"""The field of a chat request's body by which it opts in, and of a response's by which the engine answers."""


class Wire(NamedTuple):
    """How a field stands in the endpoint's JSON: its name there and what it means, as docs/tool-cache.md has it."""

    name: str
    meaning: str
    is_ours: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOutput:
    """One entry of a post: what a call returned (any JSON value), or, with `is_running`, that it is being run.

    `keep_alive_s` is how long the engine may use it, from its arrival; None leaves that to the engine.
    """

    name: Annotated[str, Wire("name", "the tool")]
    params: Annotated[Mapping[str, Any], Wire("params", "the arguments; left out: `{}`")]
    output: Annotated[
        Any, Wire("output", "what it returned; a string enters the history as it is, any other value as JSON")
    ] = None
    keep_alive_s: Annotated[
        float | None,
        Wire(
            "keep_alive",
            "seconds for which the entry may be used, > 0; capped by `max_ttl_s`; left out: `default_ttl_s`",
        ),
    ] = None
    is_running: Annotated[
        bool,
        Wire(
            "running",
            "`true` says that the call is being run and its output will follow; there is no `output` then",
            is_ours=True,
        ),
    ] = False

    @property
    def call(self) -> ToolCall:
        return ToolCall(name=self.name, arguments=json.dumps(self.params, ensure_ascii=False))

    @property
    def text(self) -> str:
        """The observation as it enters the history: a string as it is, any other value as JSON."""
        text = self.output if isinstance(self.output, str) else json.dumps(self.output, ensure_ascii=False)
        return text.encode(errors="replace").decode()  # half a surrogate pair has no tokens

    def to_json(self) -> dict[str, Any]:
        """Return the entry as it stands in the body."""
        body: dict[str, Any] = {"name": self.name, "params": dict(self.params)}
        body |= {"running": True} if self.is_running else {"output": self.output}
        return body if self.keep_alive_s is None else body | {"keep_alive": self.keep_alive_s}


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheAnswer:
    """The answer to a post: how many entries of it the engine now holds; a call named twice counts once."""

    num_cached: Annotated[int, Wire("cached", "entries of the post that the engine now holds")]

    def to_json(self) -> dict[str, int]:
        return {"cached": self.num_cached}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseOptions:
    """The body field `precall` of a chat request.

    No turn is spliced once the response has generated `max_response_tokens`. `turn_xargs[i]` is
    added to the request's `vllm_xargs` in turn i of the response.
    """

    max_response_tokens: int | None = None
    turn_xargs: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {"turn_xargs": [dict(xargs) for xargs in self.turn_xargs]} if self.turn_xargs else {}
        return body if self.max_response_tokens is None else body | {"max_response_tokens": self.max_response_tokens}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutedTurn:
    """A turn whose calls the engine took from the cache: the messages to append to the history, and its sizes.

    `num_prompt_tokens` is the length of the sequence before the turn. Token ids are there when the request asked for
    them (`return_token_ids`): the request's prompt with the first executed turn of a response, what the model
    generated, and what was appended for the results.
    """

    reasoning: str
    content: str
    calls: tuple[ToolCall, ...]
    outputs: tuple[str, ...]
    num_prompt_tokens: int
    num_output_tokens: int
    prompt_token_ids: tuple[int, ...] | None = None
    token_ids: tuple[int, ...] | None = None
    result_token_ids: tuple[int, ...] | None = None

    def messages(self) -> list[dict[str, Any]]:
        """Return the turn as messages: the assistant's, then one for each result."""
        calls = [
            {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in self.calls
        ]
        assistant: dict[str, Any] = {"role": "assistant", "content": self.content or None, "tool_calls": calls}
        if self.reasoning:
            assistant["reasoning"] = self.reasoning
        results = [
            {"role": "tool", "tool_call_id": call.call_id, "content": text}
            for call, text in zip(self.calls, self.outputs, strict=True)
        ]
        return [assistant, *results]

    def to_json(self) -> dict[str, Any]:
        body = {"messages": self.messages()}
        names = ("num_prompt_tokens", "num_output_tokens", "prompt_token_ids", "token_ids", "result_token_ids")
        return body | {name: value for name in names if (value := getattr(self, name)) is not None}


def wire_of(kind: type) -> dict[str, Wire]:
    """Return how the fields of `ToolOutput` or `CacheAnswer` stand in JSON, by their names here."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: wire for name, hint in hints.items() for wire in get_args(hint) if isinstance(wire, Wire)}


_FIELDS = {wire.name for wire in wire_of(ToolOutput).values()}


def parse_executed_turns(value: Any) -> tuple[ExecutedTurn, ...]:
    """Return the executed turns in the field `precall` of a response or of an event of its stream.

    Raises KeyError, TypeError or ValueError when the field is not what `ExecutedTurn.to_json` gives.
    """
    return tuple(_parse_executed_turn(turn) for turn in value["executed_turns"])


def _parse_executed_turn(value: Any) -> ExecutedTurn:
    assistant, *results = value["messages"]
    calls = tuple(
        ToolCall(name=call["function"]["name"], arguments=call["function"]["arguments"], call_id=call["id"])
        for call in assistant["tool_calls"]
    )
    if [call.call_id for call in calls] != [result["tool_call_id"] for result in results]:
        raise ValueError("the results are not those of the calls, in their order")
    ids = {name: tuple(value[name]) for name in ("prompt_token_ids", "token_ids", "result_token_ids") if name in value}
    return ExecutedTurn(
        reasoning=assistant.get("reasoning") or "",
        content=assistant["content"] or "",
        calls=calls,
        outputs=tuple(result["content"] for result in results),
        num_prompt_tokens=value["num_prompt_tokens"],
        num_output_tokens=value["num_output_tokens"],
        **ids,
    )


def parse_options(value: Any) -> ResponseOptions:
    """Return the options of a chat request's field `precall`. Raises ToolCacheError (400) that names what is wrong."""
    if not isinstance(value, dict):
        raise ToolCacheError(400, f"{OPTIONS_FIELD} is a JSON {_kind(value)}; it must be an object.")
    unknown = sorted(value.keys() - {"max_response_tokens", "turn_xargs"})
    if unknown:
        raise ToolCacheError(400, f"{OPTIONS_FIELD} has the field {unknown[0]!r}, which does not exist.")
    cap, xargs = value.get("max_response_tokens"), value.get("turn_xargs", [])
    if cap is not None and (type(cap) is not int or cap < 1):
        raise ToolCacheError(400, f"{OPTIONS_FIELD}.max_response_tokens is {cap!r}; it must be an integer >= 1.")
    if not isinstance(xargs, list) or not all(isinstance(item, dict) for item in xargs):
        raise ToolCacheError(400, f"{OPTIONS_FIELD}.turn_xargs must be an array of objects.")
    return ResponseOptions(max_response_tokens=cap, turn_xargs=tuple(xargs))


def post_path(response_id: str) -> str:
    """Return the path to which the outputs for a response are posted, below the server's root."""
    return ROUTE.format(response_id=response_id)


def post_body(outputs: Sequence[ToolOutput]) -> list[dict[str, Any]]:
    """Return the body of a post, to be sent as JSON."""
    return [output.to_json() for output in outputs]


def parse_post(body: bytes) -> tuple[ToolOutput, ...]:
    """Return the entries of a body. Raises ToolCacheError (422) that names the first thing wrong with it."""
    try:
        entries = parse_strict_json(body)
    except (ValueError, RecursionError) as error:
        raise _malformed(f"The body is not valid JSON ({type(error).__name__}: {error}).") from error
    if not isinstance(entries, list):
        raise _malformed(f"The body is a JSON {_kind(entries)}; it must be an array of entries.")
    return tuple(_parse_entry(index, entry) for index, entry in enumerate(entries))


def _parse_entry(index: int, entry: Any) -> ToolOutput:
    where = f"Entry {index} of the body"
    if not isinstance(entry, dict):
        raise _malformed(f"{where} is a JSON {_kind(entry)}; it must be an object.")
    unknown = sorted(entry.keys() - _FIELDS)
    if unknown:
        raise _malformed(f"{where} has the field {unknown[0]!r}; the fields are {', '.join(sorted(_FIELDS))}.")
    name, params, is_running = entry.get("name"), entry.get("params", {}), entry.get("running", False)
    if not isinstance(name, str) or not name:
        raise _malformed(f"{where} has the name {name!r}; it must be a string that is not empty.")
    if not isinstance(params, dict):
        raise _malformed(f"{where} has params that are a JSON {_kind(params)}; they must be an object.")
    if not isinstance(is_running, bool):
        raise _malformed(f"{where} has running {is_running!r}; it must be true or false.")
    if is_running == ("output" in entry):
        rule = "an entry has either an output or running: true"
        raise _malformed(f"{where} has {'both an output and running: true' if is_running else 'no output'}; {rule}.")
    return ToolOutput(
        name=name,
        params=params,
        output=entry.get("output"),
        keep_alive_s=_parse_keep_alive(where, entry.get("keep_alive")),
        is_running=is_running,
    )


def _parse_keep_alive(where: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise _malformed(f"{where} has keep_alive {value!r}; it must be a number of seconds > 0.")
    return float(min(value, 1e9))  # an integer may be too large for a float


def _malformed(message: str) -> ToolCacheError:
    return ToolCacheError(422, message)


def _kind(value: Any) -> str:
    kinds = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return kinds.get(type(value), "number")
