"""Tasks of the Berkeley Function-Calling Leaderboard (BFCL v4), read from the data files of the bfcl-eval package.

Single-turn categories come without implementations: their tools return an observation derived from the call. In
multi_turn_base the tools are BFCL's stateful classes, with the effects declared in bfcl_effects.yaml beside this file.
"""

import ast
import copy
import hashlib
import importlib
import inspect
import itertools
import json
import random
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from agents.task import Task
from precall.calls import ToolCall, canonical_key
from precall.errors import ConfigError
from precall.tools import Effect, Tool

CATEGORIES = ("simple_python", "multiple", "live_simple", "live_multiple", "multi_turn_base")
EFFECTS_PATH = Path(__file__).with_name("bfcl_effects.yaml")

_JSON_TYPES = {"dict": "object", "float": "number", "tuple": "array"}
# The classes that BFCL calls stateless set the precision of mpmath, which belongs to the process: one call at a time.
_STATELESS_LOCK = threading.Lock()


def load_bfcl(categories: Sequence[str], *, num_tasks: int | None, seed: int) -> list[Task]:
    """Return `num_tasks` tasks drawn from `categories` in turn; the same arguments return the same tasks in order.
    None returns all usable tasks.

    A category that runs out leaves its share to the others. An entry whose accepted answer cannot become a call is
    skipped without notice (2 in live_simple and 2 in live_multiple of bfcl-eval 2026.3.23): the answer names a
    parameter that the schema does not have, omits a required one, or accepts no value for one.

    Raises ConfigError for an unknown category and for a number of tasks that the categories cannot fill.
    """
    known = ", ".join(CATEGORIES)
    if not categories:
        raise ConfigError(f"categories is empty; it must name at least one of {known}.")
    for category in categories:
        if category not in CATEGORIES:
            raise ConfigError(f"categories names {category!r}; each must be a known BFCL category. Use any of {known}.")
    queues = []
    for category in dict.fromkeys(categories):
        queue = list(_load_category(category))
        random.Random(f"{seed}:{category}").shuffle(queue)
        queues.append(queue)
    num_available = sum(map(len, queues))
    if num_tasks is not None and not 1 <= num_tasks <= num_available:
        raise ConfigError(
            f"num_tasks is {num_tasks}; it must be between 1 and {num_available}, the number of usable tasks in "
            f"{', '.join(categories)}. Ask for fewer tasks or name more categories."
        )
    rounds = itertools.zip_longest(*queues)
    return [task for tasks in rounds for task in tasks if task is not None][:num_tasks]


def to_json_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a BFCL parameter schema as JSON schema, with every level converted.

    Source: `_cast_to_openai_type` in bfcl_eval/model_handler/utils.py, whose marks on a float are kept, too. The one
    difference: a parameter of type "any" gets no type, where BFCL says "string".
    """
    converted = dict(schema)
    kind = converted.pop("type", "any")
    if kind != "any":
        converted["type"] = _JSON_TYPES.get(kind, kind)
    if kind == "float":
        converted["format"] = "float"
        converted["description"] = f"{schema.get('description', '')} This is a float type value.".lstrip()
    if "properties" in schema:
        converted["properties"] = {name: to_json_schema(item) for name, item in schema["properties"].items()}
    if "items" in schema:
        converted["items"] = to_json_schema(schema["items"])
    return converted


@cache
def _load_category(category: str) -> tuple[Task, ...]:
    answers = {row["id"]: row["ground_truth"] for row in _read_rows(f"possible_answer/BFCL_v4_{category}.json")}
    entries = [(entry, answers[entry["id"]]) for entry in _read_rows(f"BFCL_v4_{category}.json")]
    if category == "multi_turn_base":
        return tuple(_multi_turn_tasks(entries))
    tasks = (_single_turn_task(entry, answer) for entry, answer in entries)
    return tuple(task for task in tasks if task is not None)


def _read_rows(path: str) -> list[dict[str, Any]]:
    text = files("bfcl_eval").joinpath("data", path).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _tool_fields(doc: Mapping[str, Any], effect: Effect) -> dict[str, Any]:
    # The chat-completions API takes no dots in a name; BFCL replaces them likewise.
    name = doc["name"].replace(".", "_")
    parameters = to_json_schema(doc["parameters"])
    return {"name": name, "description": doc["description"], "parameters": parameters, "effect": effect}


# Single-turn categories: schemas and accepted answers, and no implementation.


def _single_turn_task(entry: Mapping[str, Any], ground_truth: Sequence[Mapping[str, Any]]) -> Task | None:
    fields = [_tool_fields(doc, Effect.PURE) for doc in entry["function"]]
    tools = {field["name"]: _synthetic_tool(entry["id"], field) for field in fields}
    calls = [_accepted_call(answer, tools) for answer in ground_truth]
    if len(tools) < len(fields) or not all(calls):  # two names became one, or an answer is no call
        return None
    return Task(
        task_id=entry["id"],
        user_turns=tuple(tuple(messages) for messages in entry["question"]),
        make_tools=lambda: tuple(tools.values()),
        reference_calls=(tuple(call for call in calls if call is not None),),
    )


def _synthetic_tool(task_id: str, fields: Mapping[str, Any]) -> Tool:
    return Tool(**fields, function=partial(_synthetic_observation, task_id, fields["name"], fields["parameters"]))


def _synthetic_observation(
    task_id: str, name: str, parameters: Mapping[str, Any], /, **arguments: Any
) -> dict[str, Any]:
    """Return an observation that depends on the task and the canonical call alone. Source: ours; BFCL has none."""
    missing = [required for required in parameters.get("required", ()) if required not in arguments]
    unknown = [argument for argument in arguments if argument not in parameters["properties"]]
    if missing or unknown:
        problem = f"misses the required {missing[0]!r}" if missing else f"has no parameter {unknown[0]!r}"
        raise ValueError(f"{name} {problem}; its parameters are {', '.join(parameters['properties']) or 'none'}.")
    key = canonical_key(ToolCall(name=name, arguments=json.dumps(arguments)), parameters)
    digest = hashlib.sha256(json.dumps([task_id, *key]).encode()).hexdigest()
    return {"status": "ok", "function": name, "result": digest[:16]}


def _accepted_call(answer: Mapping[str, Any], tools: Mapping[str, Tool]) -> ToolCall | None:
    ((function, accepted),) = answer.items()
    tool = tools.get(function.replace(".", "_"))
    if tool is None:
        return None
    properties, required = tool.parameters["properties"], tool.parameters.get("required", ())
    if not set(required) <= set(accepted) <= set(properties) or not all(accepted.values()):
        return None
    values = _first_accepted(accepted, required)
    arguments = {name: _without_alternatives(value, properties[name]) for name, value in values.items()}
    return ToolCall(name=tool.name, arguments=json.dumps(arguments, ensure_ascii=False))


def _first_accepted(accepted: Mapping[str, Sequence[Any]], required: Collection[str]) -> dict[str, Any]:
    # "" among the accepted values says that the parameter may be left out.
    left_out = {name for name, values in accepted.items() if "" in values and name not in required}
    chosen = {name: values for name, values in accepted.items() if name not in left_out}
    return {name: next((value for value in values if value != ""), "") for name, values in chosen.items()}


def _without_alternatives(value: Any, schema: Mapping[str, Any]) -> Any:
    # BFCL's ast_checker expects alternatives one level down, in an object or in an array of objects, and no deeper.
    if isinstance(value, dict):
        return _first_accepted(value, schema.get("required", ()))
    if isinstance(value, list):
        items = schema.get("items", {})
        return [_without_alternatives(item, items) if isinstance(item, dict) else item for item in value]
    return value


# multi_turn_base: BFCL's classes, one instance of each per trajectory.


@dataclass(frozen=True, slots=True, kw_only=True)
class _ToolClass:
    """One of BFCL's multi-turn classes; `tool_fields` holds, per documented function, a Tool but for its callable."""

    create: Callable[[], Any]
    is_stateless: bool
    tool_fields: tuple[Mapping[str, Any], ...]
    parameter_names: Mapping[str, tuple[str, ...]]


def _multi_turn_tasks(entries: Sequence[tuple[Mapping[str, Any], Sequence[Sequence[str]]]]) -> Iterator[Task]:
    effects = yaml.safe_load(EFFECTS_PATH.read_text(encoding="utf-8"))
    names = dict.fromkeys(name for entry, _ in entries for name in entry["involved_classes"])
    tool_classes = {name: _load_tool_class(name, effects.get(name, {})) for name in names}
    for entry, ground_truth in entries:
        classes = {name: tool_classes[name] for name in entry["involved_classes"]}
        excluded = frozenset(entry.get("excluded_function", ()))
        parameter_names = {name: known for each in classes.values() for name, known in each.parameter_names.items()}
        yield Task(
            task_id=entry["id"],
            user_turns=tuple(tuple(messages) for messages in entry["question"]),
            make_tools=partial(_fresh_tools, classes, entry["initial_config"], excluded),
            reference_calls=tuple(tuple(_parse_call(text, parameter_names) for text in turn) for turn in ground_truth),
        )


def _load_tool_class(class_name: str, effects: Mapping[str, str]) -> _ToolClass:
    from bfcl_eval.constants import executable_backend_config as backend

    create = getattr(importlib.import_module(backend.CLASS_FILE_PATH_MAPPING[class_name]), class_name)
    docs = _read_rows(f"multi_turn_func_doc/{backend.MULTI_TURN_FUNC_DOC_FILE_MAPPING[class_name]}")
    for doc in docs:
        if effects.get(doc["name"]) not in ("pure", "read", "write"):
            raise ConfigError(
                f"{EFFECTS_PATH.name} says {effects.get(doc['name'])!r} for {class_name}.{doc['name']}; every "
                f"function must be pure, read or write. Add the line '{doc['name']}: <effect>' under {class_name}."
            )
    return _ToolClass(
        create=create,
        is_stateless=class_name in backend.STATELESS_CLASSES,
        tool_fields=tuple(_tool_fields(doc, Effect(effects[doc["name"]])) for doc in docs),
        parameter_names={
            doc["name"]: tuple(inspect.signature(getattr(create, doc["name"])).parameters)[1:] for doc in docs
        },
    )


def _parse_call(text: str, parameter_names: Mapping[str, Sequence[str]]) -> ToolCall:
    """Return BFCL's `function(1, b=2)` as a tool call. Only literals are read and nothing is evaluated."""
    call = ast.parse(text, mode="eval").body
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise ValueError(f"The accepted answer {text!r} is not the call of a named function.")
    nodes = dict(zip(parameter_names[call.func.id], call.args, strict=False))
    nodes |= {str(keyword.arg): keyword.value for keyword in call.keywords}
    arguments = {name: ast.literal_eval(node) for name, node in nodes.items()}
    return ToolCall(name=call.func.id, arguments=json.dumps(arguments, ensure_ascii=False))


def _fresh_tools(
    classes: Mapping[str, _ToolClass], initial_config: Mapping[str, Any], excluded: Collection[str]
) -> tuple[Tool, ...]:
    # Source: execute_multi_turn_func_call in bfcl_eval's multi_turn_utils.py, which keeps its instances in globals().
    tools = []
    trajectory_lock = threading.Lock()
    for class_name, tool_class in classes.items():
        instance, lock = tool_class.create(), _STATELESS_LOCK
        if not tool_class.is_stateless:
            instance._load_scenario(copy.deepcopy(initial_config.get(class_name, {})), long_context=False)
            lock = trajectory_lock
        for fields in tool_class.tool_fields:
            if fields["name"] not in excluded:
                method = getattr(instance, fields["name"])
                tools.append(Tool(**fields, function=partial(_run_method, lock, method)))
    return tuple(tools)


def _run_method(lock: threading.Lock, method: Callable[..., Any], /, **arguments: Any) -> str:
    """Call `method` and return what it returned as BFCL shows it to a model.

    The text is made under the lock, because many methods return a part of the state itself. Defaults are copied,
    because post_tweet puts its default lists into the state, where `mention` would extend them for every trajectory.
    """
    parameters = inspect.signature(method).parameters.values()
    defaults = {each.name: copy.deepcopy(each.default) for each in parameters if each.default is not each.empty}
    with lock:
        returned = method(**(defaults | arguments))
        if isinstance(returned, dict):
            try:
                return json.dumps(returned)
            except TypeError:  # a number of mpmath or decimal
                return str(returned)
        return str(returned)
