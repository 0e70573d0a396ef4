"""The tools of the pocket world: schemas as short as they can be, and the functions behind them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from harness.pocket import functions
from harness.pocket.functions import OPERATIONS, Home, TaskState
from precall.errors import ConfigError
from precall.tools import Effect, Tool

# Where both are offered, only a cue says which is right (cues.py).
TWINS = {
    "weather_now": "weather_forecast",
    "weather_forecast": "weather_now",
    "read_file": "read_archive",
    "read_archive": "read_file",
    "train_time": "flight_time",
    "flight_time": "train_time",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolbox:
    """Makes the tools that a task offers, fresh for each trajectory: what one writes, no other sees."""

    names: tuple[str, ...]
    state: TaskState

    def __call__(self) -> tuple[Tool, ...]:
        return make_tools(self.names, self.state)


def make_tools(names: Sequence[str], state: TaskState) -> tuple[Tool, ...]:
    """Return fresh tools of these names, in this order, over a copy of `state` that they share.

    Raises ConfigError for a name that the world does not have.
    """
    home = Home(state)
    return tuple(_make_tool(name, home) for name in names)


def _make_tool(name: str, home: Home) -> Tool:
    if name not in _SPECS:
        raise ConfigError(
            f"names holds {name!r}; it must be a tool of the pocket world. Use any of {', '.join(_SPECS)}."
        )
    spec = _SPECS[name]
    properties = {parameter: _TYPES.get(parameter, {"type": "string"}) for parameter in spec.parameters}
    return Tool(
        name=name,
        description=spec.description,
        parameters={"type": "object", "properties": properties, "required": list(spec.parameters)},
        function=partial(spec.function, home) if spec.effect is not Effect.PURE else spec.function,
        effect=spec.effect,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spec:
    """A tool but for its state; `function` takes the trajectory's state first unless the tool is pure."""

    description: str
    parameters: tuple[str, ...]
    function: Callable[..., str]
    effect: Effect = Effect.PURE


_TYPES: dict[str, dict[str, Any]] = {
    "amount": {"type": "integer"},
    "a": {"type": "integer"},
    "b": {"type": "integer"},
    "op": {"enum": list(OPERATIONS)},
}
_SPECS = {
    "capital": _Spec(description="Capital of a country", parameters=("country",), function=functions.capital),
    "population": _Spec(description="People in a city", parameters=("city",), function=functions.population),
    "owner": _Spec(description="Owner of a project", parameters=("project",), function=functions.owner),
    "phone": _Spec(description="Phone number of a person", parameters=("person",), function=functions.phone),
    "convert": _Spec(description="Convert units", parameters=("amount", "unit", "into"), function=functions.convert),
    "calculate": _Spec(description="Calculate with numbers", parameters=("a", "op", "b"), function=functions.calculate),
    "translate": _Spec(description="Translate a word", parameters=("word", "language"), function=functions.translate),
    "weather_now": _Spec(
        description="Weather at this moment", parameters=("city",), function=functions.weather_now, effect=Effect.READ
    ),
    "weather_forecast": _Spec(
        description="Weather on another day",
        parameters=("city", "day"),
        function=functions.weather_forecast,
        effect=Effect.READ,
    ),
    "train_time": _Spec(
        description="Time of the train", parameters=("city",), function=functions.train_time, effect=Effect.READ
    ),
    "flight_time": _Spec(
        description="Time of the flight", parameters=("city",), function=functions.flight_time, effect=Effect.READ
    ),
    "search_files": _Spec(
        description="Find a file by its text", parameters=("text",), function=functions.search_files, effect=Effect.READ
    ),
    "read_file": _Spec(
        description="Read a file", parameters=("path",), function=functions.read_file, effect=Effect.READ
    ),
    "read_archive": _Spec(
        description="Read an archived file", parameters=("path",), function=functions.read_archive, effect=Effect.READ
    ),
    "list_events": _Spec(
        description="Events of a day", parameters=("day",), function=functions.list_events, effect=Effect.READ
    ),
    "add_event": _Spec(
        description="Add an event", parameters=("title", "day"), function=functions.add_event, effect=Effect.WRITE
    ),
    "send_note": _Spec(
        description="Send a note", parameters=("person", "text"), function=functions.send_note, effect=Effect.WRITE
    ),
}
TOOL_NAMES = tuple(_SPECS)
PARAMETERS = {name: spec.parameters for name, spec in _SPECS.items()}
