"""The tools of the pocket world, small and real: each computes what it returns from its arguments or from the state of
its trajectory.

Two pairs of twins and a third look alike: a request for one of them can be told from a request for the other only by
what else it says (`scenes.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from harness.pocket.values import LANGUAGES, UNIT_FACTORS, digest, pick
from precall.errors import ConfigError
from precall.tools import Effect, Tool

TWINS = {
    "weather_now": "weather_forecast",
    "weather_forecast": "weather_now",
    "read_file": "read_archive",
    "read_archive": "read_file",
    "train_time": "flight_time",
    "flight_time": "train_time",
}
OPERATIONS = ("add", "subtract", "multiply")
NOTHING = "nothing"
"""What a lookup returns that finds no entry."""

_SKIES = ("sunny", "cloudy", "rainy", "windy", "foggy", "snowy")
_VOWELS = str.maketrans("aeiou", "eioua")
_WORD_ENDINGS = dict(zip(LANGUAGES, ("iel", "dur", "ug"), strict=True))

Entries = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """What a task's tools find at the start of a trajectory: files by path, archived files by path, events by day."""

    files: Entries = ()
    archive: Entries = ()
    events: Entries = ()


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
    home = _Home(state)
    return tuple(_make_tool(name, home) for name in names)


def _make_tool(name: str, home: "_Home") -> Tool:
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


class _Home:
    """The state of one trajectory."""

    def __init__(self, state: TaskState) -> None:
        self.files = dict(state.files)
        self.archive = dict(state.archive)
        self.events = list(state.events)
        self.notes: list[tuple[str, str]] = []


def _capital(country: str) -> str:
    return pick("city", country)


def _population(city: str) -> str:
    return str(1000 + digest(f"population of {city}") % 9000)


def _owner(project: str) -> str:
    return pick("person", project)


def _phone(person: str) -> str:
    return str(1000 + digest(f"phone of {person}") % 9000)


def _weather(moment: str) -> str:
    drawn = digest(f"weather in {moment}")
    return f"{_SKIES[drawn % len(_SKIES)]}, {2 + drawn // 10 % 30} degrees"


def _weather_now(_: _Home, city: str) -> str:
    return _weather(city)


def _weather_forecast(_: _Home, city: str, day: str) -> str:
    return _weather(f"{city} on {day}")


def _time(journey: str) -> str:
    minutes = digest(f"first {journey}") % (24 * 60)
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _train_time(_: _Home, city: str) -> str:
    return _time(f"train to {city}")


def _flight_time(_: _Home, city: str) -> str:
    return _time(f"flight to {city}")


def _convert(amount: float, unit: str, into: str) -> str:
    if (unit, into) not in UNIT_FACTORS:
        raise ValueError(f"{unit} cannot become {into}")
    return f"{amount * UNIT_FACTORS[unit, into]:.1f} {into}"


def _calculate(a: int, op: str, b: int) -> str:
    operations: dict[str, Callable[[int, int], int]] = {
        "add": lambda a, b: a + b,
        "subtract": lambda a, b: a - b,
        "multiply": lambda a, b: a * b,
    }
    return str(operations[op](a, b))


def _translate(word: str, language: str) -> str:
    """Shift the vowels and give the language's ending, the rule of this world's languages."""
    return word.translate(_VOWELS) + _WORD_ENDINGS[language]


def _search_files(home: _Home, text: str) -> str:
    wanted = set(text.lower().split())
    found = {path: len(wanted & set(content.lower().split())) for path, content in home.files.items()}
    best = max(found, key=lambda path: found[path], default=None)
    return best if best is not None and found[best] else NOTHING


def _read_file(home: _Home, path: str) -> str:
    return home.files.get(path, NOTHING)


def _read_archive(home: _Home, path: str) -> str:
    return home.archive.get(path, NOTHING)


def _list_events(home: _Home, day: str) -> str:
    return ", ".join(title for each, title in home.events if each == day) or NOTHING


def _add_event(home: _Home, title: str, day: str) -> str:
    home.events.append((day, title))
    return f"{title} added"


def _send_note(home: _Home, person: str, text: str) -> str:
    home.notes.append((person, text))
    return f"sent to {person}"


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
    "capital": _Spec(description="Capital of a country", parameters=("country",), function=_capital),
    "population": _Spec(description="People in a city", parameters=("city",), function=_population),
    "owner": _Spec(description="Owner of a project", parameters=("project",), function=_owner),
    "phone": _Spec(description="Phone number of a person", parameters=("person",), function=_phone),
    "convert": _Spec(description="Convert units", parameters=("amount", "unit", "into"), function=_convert),
    "calculate": _Spec(description="Calculate with two numbers", parameters=("a", "op", "b"), function=_calculate),
    "translate": _Spec(description="Translate a word", parameters=("word", "language"), function=_translate),
    "weather_now": _Spec(
        description="Weather at this moment", parameters=("city",), function=_weather_now, effect=Effect.READ
    ),
    "weather_forecast": _Spec(
        description="Weather on another day",
        parameters=("city", "day"),
        function=_weather_forecast,
        effect=Effect.READ,
    ),
    "train_time": _Spec(
        description="Time of the train", parameters=("city",), function=_train_time, effect=Effect.READ
    ),
    "flight_time": _Spec(
        description="Time of the flight", parameters=("city",), function=_flight_time, effect=Effect.READ
    ),
    "search_files": _Spec(
        description="Find a file by its text", parameters=("text",), function=_search_files, effect=Effect.READ
    ),
    "read_file": _Spec(description="Read a file", parameters=("path",), function=_read_file, effect=Effect.READ),
    "read_archive": _Spec(
        description="Read an archived file", parameters=("path",), function=_read_archive, effect=Effect.READ
    ),
    "list_events": _Spec(description="Events of a day", parameters=("day",), function=_list_events, effect=Effect.READ),
    "add_event": _Spec(
        description="Add an event", parameters=("title", "day"), function=_add_event, effect=Effect.WRITE
    ),
    "send_note": _Spec(
        description="Send a note", parameters=("person", "text"), function=_send_note, effect=Effect.WRITE
    ),
}
TOOL_NAMES = tuple(_SPECS)
PARAMETERS = {name: spec.parameters for name, spec in _SPECS.items()}
