"""The reasoning texts: clauses drawn from a small grammar; the last names the tool and its arguments.

How much is reasoned follows from how the request begins, so that a greedy model, too, reasons at varied length.
"""

import random
from collections.abc import Mapping, Sequence
from math import log
from typing import Any, Literal

Effort = Literal["short", "plain", "long"]

OPENINGS: Mapping[Effort, str] = {"short": "In short: ", "plain": "", "long": "Step by step: "}
EFFORT_WEIGHTS: Mapping[Effort, float] = {"short": 0.25, "plain": 0.5, "long": 0.25}
_CLAUSES_MEDIAN: Mapping[Effort, float] = {"short": 0.0, "plain": 1.2, "long": 3.5}
_CLAUSES_SIGMA = 0.4
_MAX_CLAUSES = 6

_FIRST = ("Let me see what is asked.", "The request has to be read with care.", "A tool can tell this.")
_AFTER = ("The first part is known.", "With this I can go on.", "Another call is still needed.")
_FILLERS = (
    "Nothing has to be asked back.",
    "All values stand in the text.",
    "I copy the values as they are.",
    "A guess would not do here.",
    "The names must not change.",
)
_CLOSING = ("That is the answer.", "I can answer.", "The result is there.")
_NO_CALL = ("No tool is needed.", "I can answer without a tool.", "The answer is plain.")
_GLOSSES = {
    "capital": "capital knows countries.",
    "population": "population counts people.",
    "owner": "owner knows projects.",
    "phone": "phone knows numbers of people.",
    "convert": "convert changes units.",
    "calculate": "calculate does sums.",
    "translate": "translate knows languages.",
    "weather_now": "weather_now is for this moment.",
    "weather_forecast": "weather_forecast is for another day.",
    "train_time": "train_time is for trains.",
    "flight_time": "flight_time is for flights.",
    "search_files": "search_files finds a file.",
    "read_file": "read_file opens a file.",
    "read_archive": "read_archive opens the archive.",
    "list_events": "list_events shows the calendar.",
    "add_event": "add_event changes the calendar.",
    "send_note": "send_note writes to people.",
}


def draw_effort(draw: random.Random) -> Effort:
    return draw.choices(tuple(EFFORT_WEIGHTS), tuple(EFFORT_WEIGHTS.values()))[0]


def before_call(
    draw: random.Random,
    effort: Effort,
    *,
    name: str,
    arguments: Sequence[Mapping[str, Any]],
    offered: Sequence[str],
    comparison: str,
    is_first: bool,
) -> str:
    """Return the reasoning before the calls of one tool: some clauses (their number is lognormal), the comparison that
    a cue asks for, and the decision."""
    clauses = [draw.choice(_FIRST if is_first else _AFTER)]
    if is_first:
        clauses += [_GLOSSES[each] for each in offered]
    clauses += draw.sample(_FILLERS, 2)
    median = _CLAUSES_MEDIAN[effort] / (1 if is_first else 2)
    drawn = draw.lognormvariate(log(median), _CLAUSES_SIGMA) if median else 0.0
    kept = clauses[: min(_MAX_CLAUSES, round(drawn))]
    return " ".join([*kept, *([comparison] if comparison else []), _decision(name, arguments)])


def before_answer(draw: random.Random, *, is_called: bool) -> str:
    """Return the reasoning before an answer: after calls, or where none is needed."""
    return draw.choice(_CLOSING if is_called else _NO_CALL)


def _decision(name: str, arguments: Sequence[Mapping[str, Any]]) -> str:
    shown = [" and ".join(f"{parameter} {value}" for parameter, value in each.items()) for each in arguments]
    return f"I call {name} with {', then with '.join(shown)}."
