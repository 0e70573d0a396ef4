"""What is asked for: a scene is a request, the state that its tools find, and the calls that answer it.

A value in a request can be a noun phrase for what another tool returns ("the capital of Belland"); that makes a chain.
Scenes in which a cue tells twins apart are in cues.py.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.pocket import compounds, phrasing
from harness.pocket.functions import OPERATIONS, TaskState
from harness.pocket.tools import PARAMETERS, TOOL_NAMES
from harness.pocket.values import DAYS, LANGUAGES, UNIT_FACTORS, Split, pool, split_of

Arguments = Mapping[str, Any]

_CHAIN_ENDS = ("population", "weather_now", "train_time", "flight_time", "phone", "read_file", "send_note")
_LONG_CHAIN_ENDS = ("population", "weather_now", "train_time", "flight_time")
_SEVERAL = ("capital", "population", "phone", "weather_now", "train_time")
_SEQUENCE_SHARE = 0.3
_LONG_CHAIN_SHARE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The calls of one turn, all of tool `name`; `arguments` gets the observation of the turn before. `comparison` is
    what the reasoning says about a cue."""

    name: str
    arguments: Callable[[str], tuple[Arguments, ...]]
    comparison: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """`twin` must be offered besides the tools of the steps; `answer` is given where no step is needed."""

    request: str
    state: TaskState
    steps: tuple[Step, ...] = ()
    twin: str | None = None
    answer: str = ""

    @property
    def needed(self) -> tuple[str, ...]:
        """The tools that must be offered."""
        names = [step.name for step in self.steps] + ([self.twin] if self.twin else [])
        return tuple(dict.fromkeys(names))


def draw_single(draw: random.Random, split: Split) -> Scene:
    """Return a scene with one call."""
    return _chain(draw, split, draw.choice(TOOL_NAMES), num_more=0)


def draw_chained(draw: random.Random, split: Split, max_tools: int) -> Scene:
    """Return a scene with two or three calls, of at most `max_tools` tools; `max_tools` must be at least 2."""
    if draw.random() < _SEQUENCE_SHARE:
        return draw.choice((_add_and_list, _read_and_send, _add_and_convert))(draw, split)
    if max_tools >= 3 and draw.random() < _LONG_CHAIN_SHARE:
        return _chain(draw, split, draw.choice(_LONG_CHAIN_ENDS), num_more=2)
    return _chain(draw, split, draw.choice(_CHAIN_ENDS), num_more=1)


def draw_several(draw: random.Random, split: Split) -> Scene:
    """Return a scene with two calls of one tool in one turn."""
    name = draw.choice(_SEVERAL)
    (parameter,) = PARAMETERS[name]
    values = draw.sample(pool(parameter, split), 2)
    calls: tuple[Arguments, ...] = tuple({parameter: value} for value in values)
    request = say(draw, phrasing.REQUESTS[name], split, {parameter: " and ".join(values)})
    return Scene(request=request, state=draw_state(draw, split), steps=(Step(name=name, arguments=lambda _: calls),))


def draw_talk(draw: random.Random, split: Split) -> Scene:
    """Return a scene that needs no call."""
    talk = draw.choice(compounds.TALKS)
    values = {kind: draw.choice(pool(kind, split)) for kind in ("person", "word")}
    request = say(draw, talk.phrases, split, values)
    return Scene(request=request, state=draw_state(draw, split), answer=talk.answer.format(**values))


def _chain(draw: random.Random, split: Split, name: str, num_more: int) -> Scene:
    state = draw_state(draw, split)
    shown, steps = _link(draw, split, state, name, num_more)
    return Scene(request=say(draw, phrasing.REQUESTS[name], split, shown), state=state, steps=steps)


def _link(
    draw: random.Random, split: Split, state: TaskState, name: str, num_more: int
) -> tuple[dict[str, Any], tuple[Step, ...]]:
    """Return the values that a request for `name` shows, and its steps: `num_more` others before its own."""
    drawn = _draw_arguments(draw, split, state, name)
    if num_more == 0:
        return drawn, (one_call(name, drawn),)
    parameter = next(each for each in drawn if each in compounds.NOUNS)
    nouns = [
        noun
        for noun in compounds.NOUNS[parameter]
        if num_more == 1 or compounds.NOUNS.keys() & set(PARAMETERS[noun.name])
    ]
    noun = draw.choice(nouns)
    inner, steps = _link(draw, split, state, noun.name, num_more - 1)

    def arguments(observation: str) -> tuple[Arguments, ...]:
        return (drawn | {parameter: observation.rsplit(maxsplit=1)[-1] if noun.is_last_word else observation},)

    return drawn | {parameter: say(draw, noun.phrases, split, inner)}, (*steps, Step(name=name, arguments=arguments))


def one_call(name: str, arguments: Arguments, comparison: str = "") -> Step:
    return Step(name=name, arguments=lambda _: (arguments,), comparison=comparison)


def _add_and_list(draw: random.Random, split: Split) -> Scene:
    state = draw_state(draw, split)
    drawn = _draw_arguments(draw, split, state, "add_event")
    steps = (one_call("add_event", drawn), one_call("list_events", {"day": drawn["day"]}))
    return Scene(request=say(draw, compounds.ADD_AND_LIST, split, drawn), state=state, steps=steps)


def _read_and_send(draw: random.Random, split: Split) -> Scene:
    state = draw_state(draw, split)
    person, path = draw.choice(pool("person", split)), draw.choice(state.files)[0]
    send = Step(name="send_note", arguments=lambda text: ({"person": person, "text": text},))
    request = say(draw, compounds.READ_AND_SEND, split, {"person": person, "path": path})
    return Scene(request=request, state=state, steps=(one_call("read_file", {"path": path}), send))


def _add_and_convert(draw: random.Random, split: Split) -> Scene:
    state = draw_state(draw, split)
    unit, into = draw.choice(tuple(UNIT_FACTORS))
    while True:  # the sum is an argument, too
        a, b = draw.choice(pool("a", split)), draw.choice(pool("b", split))
        if split_of(a + b) == split:
            break
    add = one_call("calculate", {"a": a, "op": "add", "b": b})
    convert = Step(name="convert", arguments=lambda total: ({"amount": int(total), "unit": unit, "into": into},))
    shown = {"a": a, "b": b, "unit": unit, "into": into}
    return Scene(request=say(draw, compounds.ADD_AND_CONVERT, split, shown), state=state, steps=(add, convert))


def _draw_arguments(draw: random.Random, split: Split, state: TaskState, name: str) -> dict[str, Any]:
    match name:
        case "convert":
            unit, into = draw.choice(tuple(UNIT_FACTORS))
            return {"amount": draw.choice(pool("amount", split)), "unit": unit, "into": into}
        case "search_files":
            return {"text": draw.choice(state.files)[1].split()[0]}
        case "read_file":
            return {"path": draw.choice(state.files)[0]}
        case "read_archive":
            return {"path": draw.choice(state.archive)[0]}
        case "list_events":
            return {"day": draw.choice(state.events)[0]}
        case _:
            return {parameter: _draw_value(draw, split, parameter) for parameter in PARAMETERS[name]}


def _draw_value(draw: random.Random, split: Split, parameter: str) -> Any:
    closed = {"day": DAYS, "language": LANGUAGES, "op": OPERATIONS}
    if parameter in closed:
        return draw.choice(closed[parameter])
    if parameter == "text":
        return f"{draw.choice(pool('title', split))} at {draw.randint(8, 20)}"
    return draw.choice(pool(parameter, split))


def draw_state(draw: random.Random, split: Split) -> TaskState:
    # A path is known by its first letter, so that comparing paths is no matter of single pieces.
    paths = {path[0]: path for path in draw.sample(pool("path", split), 60)}
    chosen = draw.sample(sorted(paths.values()), 5)
    days = draw.sample(DAYS, 2)
    entries = _draw_entries(draw, split, 7)
    return TaskState(
        files=tuple(zip(chosen[:3], entries[:3], strict=True)),
        archive=tuple(zip(chosen[3:], entries[3:5], strict=True)),
        events=tuple(zip(days, entries[5:], strict=True)),
    )


def _draw_entries(draw: random.Random, split: Split, num: int) -> list[str]:
    titles, cities = draw.sample(pool("title", split), num), draw.sample(pool("city", split), num)
    return [f"{title} in {city}" for title, city in zip(titles, cities, strict=True)]


def say(draw: random.Random, phrases: phrasing.Phrases, split: Split, values: Arguments) -> str:
    shown = {name: phrasing.OPERATION_WORDS.get(value, value) for name, value in values.items()}
    return draw.choice(phrases.of(split)).format(**shown)
