"""The tools of the pocket world: schemas, effects, and what they do."""

import json

import jsonschema
import pytest

from harness.pocket.functions import TaskState
from harness.pocket.tools import PARAMETERS, TOOL_NAMES, TWINS, Toolbox, make_tools
from harness.pocket.values import DAYS, pool, split_of
from precall.calls import ToolCall
from precall.errors import ConfigError
from precall.policy import LaunchPolicy
from precall.tools import Effect, Tool, run_tool

STATE = TaskState(
    files=(("Belplan", "Torfest in Balford"), ("Korlist", "Minrace in Gilton")),
    archive=(("Darmemo", "Lelmeet in Ranwick"),),
    events=(("Monday", "Torfest in Balford"),),
)


def tools_by_name(state: TaskState = STATE) -> dict[str, Tool]:
    return {tool.name: tool for tool in make_tools(TOOL_NAMES, state)}


async def observe(tools: dict[str, Tool], name: str, **arguments: object) -> str:
    observation = await run_tool(tools[name], ToolCall(name=name, arguments=json.dumps(arguments)))
    assert not observation.is_error, observation.content
    return observation.content


def test_there_are_tools_of_every_effect_and_schemas_are_valid_and_say_what_is_required():
    tools = tools_by_name()
    assert len(tools) >= 10
    assert {tool.effect for tool in tools.values()} == {Effect.PURE, Effect.READ, Effect.WRITE}
    for tool in tools.values():
        jsonschema.Draft202012Validator.check_schema(dict(tool.parameters))
        assert tuple(tool.parameters["properties"]) == tuple(tool.parameters["required"]) == PARAMETERS[tool.name]
        assert 1 <= len(PARAMETERS[tool.name]) <= 3


def test_the_launch_policy_refuses_what_writes_and_nothing_else():
    refused = {tool.name for tool in make_tools(TOOL_NAMES, STATE) if LaunchPolicy().refusal(tool, 0)}
    assert refused == {"add_event", "send_note"}


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("calculate", {"a": 48, "op": "add", "b": 17}, "65"),
        ("calculate", {"a": 48, "op": "subtract", "b": 17}, "31"),
        ("calculate", {"a": 48, "op": "multiply", "b": 17}, "816"),
        ("convert", {"amount": 35, "unit": "miles", "into": "km"}, "56.3 km"),
        ("convert", {"amount": 100, "unit": "kg", "into": "pounds"}, "220.5 pounds"),
        ("translate", {"word": "Balock", "language": "Orcish"}, "Beluckug"),
        ("search_files", {"text": "Minrace"}, "Korlist"),
        ("search_files", {"text": "Nowhere"}, "nothing"),
        ("read_file", {"path": "Korlist"}, "Minrace in Gilton"),
        ("read_file", {"path": "Darmemo"}, "nothing"),
        ("read_archive", {"path": "Darmemo"}, "Lelmeet in Ranwick"),
        ("read_archive", {"path": "Korlist"}, "nothing"),
        ("list_events", {"day": "Monday"}, "Torfest in Balford"),
        ("list_events", {"day": "Sunday"}, "nothing"),
    ],
)
async def test_a_tool_computes_what_it_returns(name: str, arguments: dict[str, object], expected: str):
    assert await observe(tools_by_name(), name, **arguments) == expected


async def test_a_lookup_leads_from_every_name_to_one_of_the_same_split():
    tools = tools_by_name()
    for kind, name, leads_to in (("country", "capital", "city"), ("project", "owner", "person")):
        for source in [*pool(kind, "train")[:30], *pool(kind, "held_out")[:30]]:
            found = await observe(tools, name, **{kind: source})
            assert found in pool(leads_to, split_of(source))


async def test_the_weather_now_and_on_a_day_are_not_the_same():
    tools = tools_by_name()
    forecasts = {await observe(tools, "weather_forecast", city="Balford", day=day) for day in DAYS}
    assert len({await observe(tools, "weather_now", city="Balford")} | forecasts) > 3
    assert await observe(tools, "train_time", city="Balford") != await observe(tools, "flight_time", city="Balford")


async def test_a_read_sees_what_was_written_and_other_trajectories_do_not():
    toolbox = Toolbox(names=("add_event", "list_events", "send_note"), state=STATE)
    mine, other = ({tool.name: tool for tool in toolbox()} for _ in range(2))
    assert await observe(mine, "add_event", title="Minrace", day="Monday") == "Minrace added"
    assert await observe(mine, "list_events", day="Monday") == "Torfest in Balford, Minrace"
    assert await observe(other, "list_events", day="Monday") == "Torfest in Balford"
    assert await observe(mine, "send_note", person="Gano", text="Minrace at 14") == "sent to Gano"


def test_twins_know_each_other():
    assert all(TWINS[TWINS[name]] == name for name in TWINS)
    assert set(TWINS) < set(TOOL_NAMES)


def test_an_unknown_tool_is_named_with_those_that_exist():
    with pytest.raises(ConfigError, match=r"names holds 'cook'.*capital, population"):
        make_tools(["capital", "cook"], STATE)
