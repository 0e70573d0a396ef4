"""Tools as a loop on the openai client has them."""

import pytest

from precall.errors import ConfigError
from precall.openai_tools import tools_from_openai
from precall.tools import Effect

SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}


def spec(name, **more):
    return {"type": "function", "function": {"name": name, "description": "does it", "parameters": SCHEMA, **more}}


def test_a_tool_goes_out_as_it_came_in():
    specs = [spec("f"), spec("g", strict=True), spec("h", strict=False)]
    tools = tools_from_openai(specs, dict.fromkeys("fgh", print), {})
    assert [tool.to_openai() for tool in tools] == specs


def test_effects_are_declared_by_name_and_unknown_where_they_are_not():
    tools = tools_from_openai(
        [spec("f"), spec("g"), spec("h")], dict.fromkeys("fgh", print), {"f": "read", "g": Effect.PURE}
    )
    assert [tool.effect for tool in tools] == [Effect.READ, Effect.PURE, Effect.UNKNOWN]


def test_functions_that_no_tool_names_are_left_alone():
    assert tools_from_openai([], {"f": print}, {}) == []


@pytest.mark.parametrize(
    ("specs", "functions", "effects", "message"),
    [
        ([spec("f")], {}, {}, "Tool f has no function"),
        ([spec("f")], {"f": print}, {"ff": "read"}, "effects names 'ff', which is no tool; the tools are f"),
        ([spec("f")], {"f": print}, {"f": "reads"}, "The effect of tool f is 'reads'; it must be one of pure, read"),
        ([{"type": "custom", "custom": {"name": "f"}}], {"f": print}, {}, 'it must be {"type": "function"'),
        ([{"type": "function", "function": {}}], {"f": print}, {}, 'it must be {"type": "function"'),
    ],
)
def test_what_cannot_be_run_is_refused_and_named(specs, functions, effects, message):
    with pytest.raises(ConfigError, match=message):
        tools_from_openai(specs, functions, effects)
