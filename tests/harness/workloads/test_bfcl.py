"""The BFCL workload: selection, accepted answers, synthetic observations, effect table against BFCL's code."""

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files

import pytest
import yaml

from agents.task import Task
from harness.workloads import bfcl
from harness.workloads.bfcl import CATEGORIES, EFFECTS_PATH, load_bfcl, to_json_schema
from precall.calls import ToolCall, parse_arguments
from precall.errors import ConfigError
from precall.tools import Effect, Tool, run_tool

NUM_USABLE = {"simple_python": 400, "multiple": 200, "live_simple": 256, "live_multiple": 1051, "multi_turn_base": 200}
DOC_FILES = {
    "GorillaFileSystem": "gorilla_file_system",
    "MathAPI": "math_api",
    "MessageAPI": "message_api",
    "TwitterAPI": "posting_api",
    "TicketAPI": "ticket_api",
    "TradingBot": "trading_bot",
    "TravelAPI": "travel_booking",
    "VehicleControlAPI": "vehicle_control",
}
PROBES = {"string": "a", "number": 2.0, "integer": 1, "boolean": True, "array": [], "object": {}}


@pytest.fixture(scope="module")
def tasks() -> dict[str, Task]:
    everything = load_bfcl(CATEGORIES, num_tasks=sum(NUM_USABLE.values()), seed=0)
    return {task.task_id: task for task in everything}


@pytest.fixture(scope="module")
def multi_turn(tasks: dict[str, Task]) -> list[Task]:
    return [task for task in tasks.values() if category_of(task) == "multi_turn_base"]


def category_of(task: Task) -> str:
    return next(category for category in CATEGORIES if task.task_id.startswith(f"{category}_"))


def call_tool(tools: dict[str, Tool], call: ToolCall) -> object:
    return tools[call.name].function(**parse_arguments(call))


def tools_of(task: Task) -> dict[str, Tool]:
    return {tool.name: tool for tool in task.make_tools()}


def reference_calls_of(task: Task) -> Iterator[ToolCall]:
    for calls in task.reference_calls:
        yield from calls


def state_of(tools: dict[str, Tool]) -> object:
    """Return the whole state of the instances behind `tools`, private attributes and random generators included."""
    methods = [tool.function.args[1] for tool in tools.values()]  # partial(run, lock, method)
    instances = {type(method.__self__).__name__: method.__self__ for method in methods}
    return snapshot(instances, {})


def snapshot(value: object, seen: dict[int, int]) -> object:
    """Return a copy of `value` down to its leaves, to compare with a later one; an object met again is its number."""
    if isinstance(value, random.Random):
        return value.getstate()
    if isinstance(value, set):
        return frozenset(value)
    inner = value if isinstance(value, dict | list | tuple) else getattr(value, "__dict__", None)
    if inner is None:
        return (type(value).__name__, value)
    if id(value) in seen:
        return ("again", seen[id(value)])
    seen[id(value)] = len(seen)
    items = inner.items() if isinstance(inner, dict) else enumerate(inner)
    return (type(value).__name__, tuple((repr(key), snapshot(item, seen)) for key, item in items))


def functions_that_change_state(task: Task, calls: list[ToolCall]) -> set[str]:
    """Run `calls` in one trajectory and return the functions after which the state differs from before."""
    tools, changing = tools_of(task), set()
    before = state_of(tools)
    for call in calls:
        with contextlib.suppress(Exception):  # what a failing call leaves behind counts as well
            call_tool(tools, call)
        after = state_of(tools)
        if after != before:
            changing.add(call.name)
        before = after
    return changing


def probe(tool: Tool) -> ToolCall:
    arguments = {name: PROBES[schema["type"]] for name, schema in tool.parameters["properties"].items()}
    return ToolCall(name=tool.name, arguments=json.dumps(arguments))


def test_every_category_loads_its_usable_tasks(tasks: dict[str, Task]) -> None:
    assert Counter(map(category_of, tasks.values())) == NUM_USABLE


def test_tasks_are_spread_evenly_over_the_categories() -> None:
    drawn = load_bfcl(CATEGORIES, num_tasks=12, seed=3)
    assert [category_of(task) for task in drawn] == [*CATEGORIES, *CATEGORIES, *CATEGORIES[:2]]


def test_a_category_that_runs_out_leaves_its_share_to_the_others() -> None:
    drawn = load_bfcl(["multiple", "simple_python"], num_tasks=500, seed=0)
    assert Counter(map(category_of, drawn)) == {"multiple": 200, "simple_python": 300}


def test_an_unknown_category_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"names 'multi_turn'; .* simple_python, multiple, .*, multi_turn_base"):
        load_bfcl(["multiple", "multi_turn"], num_tasks=1, seed=0)
    with pytest.raises(ConfigError, match="categories is empty"):
        load_bfcl([], num_tasks=1, seed=0)


@pytest.mark.parametrize("num_tasks", [-1, 0, 201])
def test_a_number_of_tasks_that_the_categories_cannot_fill_is_refused(num_tasks: int) -> None:
    with pytest.raises(ConfigError, match=f"num_tasks is {num_tasks}; it must be between 1 and 200"):
        load_bfcl(["multiple"], num_tasks=num_tasks, seed=0)


def test_the_same_seed_draws_the_same_tasks_and_another_seed_draws_others() -> None:
    first, again, other = (
        [(task.task_id, task.reference_calls) for task in load_bfcl(CATEGORIES, num_tasks=50, seed=seed)]
        for seed in (7, 7, 8)
    )
    assert first == again
    assert {task_id for task_id, _ in first} != {task_id for task_id, _ in other}


def test_every_reference_call_names_a_tool_of_its_task_and_has_the_required_arguments(tasks: dict[str, Task]) -> None:
    for task in tasks.values():
        tools = tools_of(task)
        assert len(task.reference_calls) == len(task.user_turns), task.task_id
        for call in reference_calls_of(task):
            arguments, parameters = parse_arguments(call), tools[call.name].parameters
            assert set(parameters.get("required", ())) <= set(arguments) <= set(parameters["properties"]), task.task_id


def test_every_tool_has_a_name_and_types_that_the_chat_completions_api_takes(tasks: dict[str, Task]) -> None:
    def types_in(schema: dict) -> Iterator[str]:
        yield schema.get("type", "string")
        for item in [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]:
            yield from types_in(item)

    for task in tasks.values():
        names = [tool.name for tool in task.make_tools()]
        assert len(set(names)) == len(names), task.task_id
        for tool in task.make_tools():
            assert tool.name.replace("-", "_").isidentifier() and tool.name.isascii() and len(tool.name) <= 64
            assert tool.parameters["type"] == "object" and set(types_in(dict(tool.parameters))) <= set(PROBES)


def test_a_schema_is_converted_at_every_level() -> None:
    items = {"type": "dict", "properties": {"x": {"type": "float", "description": "X."}, "any": {"type": "any"}}}
    converted = to_json_schema({"type": "dict", "properties": {"points": {"type": "tuple", "items": items}}})
    number = {"type": "number", "format": "float", "description": "X. This is a float type value."}
    inner = {"type": "object", "properties": {"x": number, "any": {}}}
    assert converted == {"type": "object", "properties": {"points": {"type": "array", "items": inner}}}


@pytest.mark.parametrize(
    ("task_id", "name", "arguments"),
    [
        ("simple_python_0", "calculate_triangle_area", {"base": 10, "height": 5}),  # "" leaves the unit out
        ("simple_python_1", "math_factorial", {"number": 5}),  # the dot in the name
        ("simple_python_200", None, {"fuel_efficiency": 25.0}),  # "" listed first, but the parameter is required
        ("simple_python_89", None, {"conditions": {"department": "Science", "school": "Bluebird High School"}}),
        ("live_simple_42-17-2", None, {"body": {"coolTargetTemperature": 22}}),  # the other keys may be left out
        (
            "live_multiple_64-26-0",
            None,
            {"items": [{"item_id": "burger123", "quantity": 5}, {"item_id": "wing456", "quantity": 6}]},
        ),
    ],
)
def test_the_first_accepted_value_of_each_parameter_becomes_the_reference_call(
    tasks: dict[str, Task], task_id: str, name: str | None, arguments: dict
) -> None:
    ((call,),) = tasks[task_id].reference_calls
    written = parse_arguments(call)
    assert name in (None, call.name)
    assert {key: written.get(key) for key in arguments} == arguments
    assert name is None or written == arguments


def test_positional_arguments_of_an_accepted_answer_are_named_by_the_signature(tasks: dict[str, Task]) -> None:
    assert tasks["multi_turn_base_0"].reference_calls[2] == (
        ToolCall(name="sort", arguments='{"file_name": "final_report.pdf"}'),
    )


def test_the_system_message_of_a_live_task_opens_its_user_turn(tasks: dict[str, Task]) -> None:
    roles = Counter(tuple(message["role"] for message in turn) for task in tasks.values() for turn in task.user_turns)
    assert set(roles) == {("user",), ("system", "user")} and roles["system", "user"] > 40


def test_synthetic_observations_depend_on_the_task_and_the_canonical_arguments_alone(tasks: dict[str, Task]) -> None:
    (tool,), (again,) = tasks["simple_python_0"].make_tools(), tasks["simple_python_0"].make_tools()
    observed = tool.function(base=10, height=5)
    assert observed == tool.function(height=5, base=10) == again.function(base=10, height=5)
    assert observed["status"] == "ok" and observed["function"] == "calculate_triangle_area"
    assert observed != tool.function(base=10, height=6)
    assert observed != tool.function(base=10, height=5, unit="cm")
    assert observed["result"] == "6f79d97c576501bf"  # pinned: it may depend neither on the machine nor on the process


def test_synthetic_observations_of_all_reference_calls_differ(tasks: dict[str, Task]) -> None:
    single = [task for task in tasks.values() if category_of(task) != "multi_turn_base"]
    observed = [json.dumps(call_tool(tools_of(task), call)) for task in single for call in reference_calls_of(task)]
    assert len(observed) == len(set(observed)) == sum(NUM_USABLE.values()) - 200


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [('{"base": 1}', "misses the required 'height'"), ('{"base": 1, "height": 2, "c": 3}', "has no parameter 'c'")],
)
def test_a_synthetic_tool_called_wrongly_gives_an_error_observation(
    tasks: dict[str, Task], arguments: str, problem: str
) -> None:
    (tool,) = tasks["simple_python_0"].make_tools()
    observation = asyncio.run(run_tool(tool, ToolCall(name=tool.name, arguments=arguments)))
    assert observation.is_error and problem in observation.content


def test_the_effect_table_covers_exactly_the_documented_functions() -> None:
    table = yaml.safe_load(EFFECTS_PATH.read_text(encoding="utf-8"))
    docs = files("bfcl_eval").joinpath("data", "multi_turn_func_doc")
    documented = {
        name: {json.loads(line)["name"] for line in docs.joinpath(f"{stem}.json").read_text("utf-8").splitlines()}
        for name, stem in DOC_FILES.items()
    }
    assert {name: set(functions) for name, functions in table.items()} == documented
    assert {effect for functions in table.values() for effect in functions.values()} == {"pure", "read", "write"}


def test_a_function_missing_from_the_effect_table_is_named(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = yaml.safe_load(EFFECTS_PATH.read_text(encoding="utf-8"))
    del table["TravelAPI"]["book_flight"]
    path = tmp_path / "effects.yaml"
    path.write_text(yaml.safe_dump(table), encoding="utf-8")
    monkeypatch.setattr(bfcl, "EFFECTS_PATH", path)
    monkeypatch.setattr(bfcl, "_load_category", bfcl._load_category.__wrapped__)  # without what other tests loaded
    with pytest.raises(ConfigError, match=r"says None for TravelAPI\.book_flight; every function must be"):
        load_bfcl(["multi_turn_base"], num_tasks=1, seed=0)


def test_a_call_declared_pure_or_read_leaves_the_state_unchanged_in_every_task(multi_turn: list[Task]) -> None:
    for task in multi_turn:
        tools = tools_of(task)
        readers = {name for name, tool in tools.items() if not tool.effect.changes_state}
        assert not functions_that_change_state(task, list(reference_calls_of(task))) & readers, task.task_id


def test_a_call_of_any_function_declared_pure_or_read_leaves_the_state_unchanged(multi_turn: list[Task]) -> None:
    probed = set()
    for task in multi_turn[:40]:
        readers = [tool for tool in task.make_tools() if not tool.effect.changes_state]
        probed |= {tool.name for tool in readers}
        calls = [*reference_calls_of(task), *map(probe, readers)]
        assert not functions_that_change_state(task, calls) & {tool.name for tool in readers}, task.task_id
    table = yaml.safe_load(EFFECTS_PATH.read_text(encoding="utf-8"))
    assert probed == {name for each in table.values() for name, effect in each.items() if effect != "write"}


def test_the_state_comparison_notices_the_writes_that_look_like_reads(multi_turn: list[Task]) -> None:
    changing = set()
    for task in multi_turn:
        tools = tools_of(task)
        draws = [probe(tool) for tool in tools.values() if tool.name.startswith("get_") and tool.effect is Effect.WRITE]
        changing |= functions_that_change_state(task, [*reference_calls_of(task), *draws])
    assert changing >= {"cd", "echo", "message_login", "get_flight_cost"}
    assert changing >= {"get_current_speed", "get_outside_temperature_from_google", "mention", "purchase_insurance"}


def test_a_function_declared_pure_observes_the_same_in_every_task(multi_turn: list[Task]) -> None:
    observed: dict[ToolCall, set[str]] = {}
    for task in multi_turn:
        tools = tools_of(task)
        reference = [call for call in reference_calls_of(task) if tools[call.name].effect is Effect.PURE]
        for call in [*map(probe, (tool for tool in tools.values() if tool.effect is Effect.PURE)), *reference]:
            try:
                content = str(call_tool(tools, call))
            except ValueError as error:
                content = repr(error)
            observed.setdefault(call, set()).add(content)
    assert {len(contents) for contents in observed.values()} == {1}


def test_what_one_trajectory_writes_no_other_sees(multi_turn: list[Task]) -> None:
    for task in multi_turn:
        other = tools_of(task)
        before = state_of(other)
        assert [*_contents(task)] == [*_contents(task)], task.task_id
        assert state_of(other) == before, task.task_id


def test_mentions_added_to_a_tweet_stay_in_their_trajectory(tasks: dict[str, Task]) -> None:
    for _ in range(2):  # BFCL's default list of mentions is one object for the whole process
        tools = tools_of(tasks["multi_turn_base_0"])
        login = json.dumps({"username": "analyst_pro", "password": "Kj8#mP9$vL2"})
        call_tool(tools, ToolCall(name="authenticate_twitter", arguments=login))
        posted = call_tool(tools, ToolCall(name="post_tweet", arguments='{"content": "Hello"}'))
        assert json.loads(str(posted))["mentions"] == []
        call_tool(tools, ToolCall(name="mention", arguments='{"tweet_id": 3, "mentioned_usernames": ["@a"]}'))
        assert '"mentions": ["@a"]' in str(call_tool(tools, ToolCall(name="get_tweet", arguments='{"tweet_id": 3}')))


def test_the_reference_calls_of_multi_turn_tasks_run_without_raising(multi_turn: list[Task]) -> None:
    raising = [task.task_id for task in multi_turn for content in _contents(task) if content.startswith("raised")]
    assert raising == []


def test_an_excluded_function_is_no_tool_of_its_task(multi_turn: list[Task]) -> None:
    file_tasks = [tools_of(task) for task in multi_turn if "grep" in tools_of(task)]
    num_without = {name: sum(name not in tools for tools in file_tasks) for name in ("cp", "mv", "rm", "cat")}
    assert num_without == {"cp": 7, "mv": 6, "rm": 5, "cat": 0}


def _contents(task: Task) -> Iterator[str]:
    tools = tools_of(task)
    for call in reference_calls_of(task):
        try:
            yield str(call_tool(tools, call))
        except Exception as error:  # as the edge of a tool call does
            yield f"raised {error!r}"
