"""Tools in the form in which a loop on the openai client has them: schemas as dictionaries, functions by name."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from precall.errors import ConfigError
from precall.tools import Effect, Tool


def tools_from_openai(
    specs: Sequence[Mapping[str, Any]],
    functions: Mapping[str, Callable[..., Any]],
    effects: Mapping[str, Effect | str],
) -> list[Tool]:
    """Return the tools of a chat request's `tools` with the functions that run them, plain or asynchronous.

    `effects` declares what each tool does, by its name: those that are left out are `unknown`, and never run ahead. A
    limit is set with `dataclasses.replace`, or by making the `Tool` by hand. Raises ConfigError for a tool without a
    function, an effect of no tool, and anything that is no function tool.
    """
    tools = [_tool(spec, functions, effects) for spec in specs]
    names = {tool.name for tool in tools}
    for name in effects:
        if name not in names:
            known = ", ".join(sorted(names)) or "none"
            raise ConfigError(f"effects names {name!r}, which is no tool; the tools are {known}. Correct the name.")
    return tools


def _tool(
    spec: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]], effects: Mapping[str, Effect | str]
) -> Tool:
    function = spec.get("function")
    if spec.get("type") != "function" or not isinstance(function, Mapping) or not function.get("name"):
        raise ConfigError(
            f'A tool is {dict(spec)}; it must be {{"type": "function", "function": {{"name": ..., ...}}}}. Tools of '
            "other types are not run on this side."
        )
    name = function["name"]
    if name not in functions:
        raise ConfigError(f"Tool {name} has no function; the functions must hold one under that name. Add it.")
    effect = effects.get(name, Effect.UNKNOWN)
    known = [each.value for each in Effect]
    if effect not in known:
        raise ConfigError(f"The effect of tool {name} is {effect!r}; it must be one of {', '.join(known)}.")
    return Tool(
        name=name,
        description=function.get("description", ""),
        parameters=function.get("parameters", {"type": "object", "properties": {}}),
        function=functions[name],
        effect=Effect(effect),
        is_strict=function.get("strict"),
    )
