"""Builds trajectories from the accepted answers of tasks: modelled reasoning lengths, seeded draft errors.

Each reference call is a turn of its own; an answer without a call ends each user turn. Two things are modelled, not
recorded: how long the target reasons (lognormal, in words), and where the draft errs.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import Any

from agents.task import Task
from harness.replay.trajectories import RecordedTrajectory, RecordedTurn, TrajectorySet
from precall.calls import ToolCall, canonical_key
from precall.drafts.oracle import with_wrong_argument
from precall.errors import ConfigError
from precall.tools import Tool

_WORDS = (
    "the user asks for this so first we look at what is given and which function fits then we check each argument "
    "against its description because a value in another unit or form would not be accepted next we see whether "
    "something is missing that we would have to ask for it is not and the optional ones keep their defaults now the "
    "call can be written with these values and what it returns will answer the question"
).split()


@dataclass(frozen=True, slots=True, kw_only=True)
class Modelled:
    """What the builder makes up: reasoning lengths in words (mean and standard deviation of a lognormal distribution,
    drawn per turn), words of an answer, and the share of the draft's samples that are right."""

    reasoning_words_mean: float
    reasoning_words_std: float
    answer_words: int
    hit_rate: float
    num_samples: int

    def __post_init__(self) -> None:
        if not 0.0 <= self.hit_rate <= 1.0:
            raise ConfigError(f"workload.hit_rate is {self.hit_rate}; it must be in [0, 1].")
        if self.reasoning_words_mean < 0 or self.reasoning_words_std < 0:
            raise ConfigError(
                f"workload.reasoning_words has mean {self.reasoning_words_mean} and standard deviation "
                f"{self.reasoning_words_std}; both must be 0 or more. Mean 0 leaves the reasoning out."
            )
        if self.answer_words < 1:
            raise ConfigError(f"workload.answer_words is {self.answer_words}; it must be at least 1.")
        if self.num_samples < 1:
            raise ConfigError(f"draft.num_samples is {self.num_samples}; it must be at least 1.")


def build_trajectories(tasks: Sequence[Task], modelled: Modelled, seed: int) -> TrajectorySet:
    """Return one trajectory per task. A task's trajectory depends on the seed and on nothing but that task, and with
    more samples it is the same with these in addition."""
    return TrajectorySet(
        origin="built",
        description=f"accepted answers; modelled: {modelled}; seed {seed}",
        trajectories=tuple(_build(task, modelled, f"{seed}/{task.task_id}") for task in tasks),
    )


def _build(task: Task, modelled: Modelled, seed: str) -> RecordedTrajectory:
    generator, of_more_samples = random.Random(seed), random.Random(f"{seed}/more samples")
    of_samples = [generator, *[of_more_samples] * (modelled.num_samples - 1)]
    tools = task.make_tools()
    turns: list[RecordedTurn] = []
    for user_turn, calls in enumerate(task.reference_calls):
        for call in (*calls, None):
            samples = [_draft_sample(call, tools, modelled.hit_rate, each) for each in of_samples]
            reasoning = _reasoning(modelled, generator)
            turns.append(
                RecordedTurn(
                    user_turn=user_turn,
                    reasoning=reasoning,
                    content=("\n\n" if reasoning else "") + ("" if call else _words(modelled.answer_words, generator)),
                    calls=(call,) if call else (),
                    draft_samples=tuple(samples),
                )
            )
    return RecordedTrajectory(task_id=task.task_id, turns=tuple(turns))


def _reasoning(modelled: Modelled, generator: random.Random) -> str:
    mean, std = modelled.reasoning_words_mean, modelled.reasoning_words_std
    if mean == 0.0:
        return ""
    variance = log(1.0 + (std / mean) ** 2)
    num_words = max(1, round(generator.lognormvariate(log(mean) - variance / 2.0, sqrt(variance))))
    return f"\n{_words(num_words, generator)}\n"


def _words(num_words: int, generator: random.Random) -> str:
    start = generator.randrange(len(_WORDS))
    return " ".join(_WORDS[(start + index) % len(_WORDS)] for index in range(num_words)).capitalize() + "."


def _draft_sample(
    call: ToolCall | None, tools: Sequence[Tool], hit_rate: float, generator: random.Random
) -> tuple[ToolCall, ...]:
    """Return what the draft says: the call with probability `hit_rate`, else a wrong argument, a wrong tool or no call.
    Where the target answers without a call, a draft that errs calls a tool."""
    if generator.random() < hit_rate:
        return (call,) if call else ()
    by_name = {tool.name: tool for tool in tools}
    if call is None:
        tool = generator.choice(tools)
        return (_call_with(tool.name, _made_up_arguments(tool, generator)),)
    others = [tool for tool in tools if tool.name != call.name]
    error = generator.choice(("wrong argument", "wrong tool", "no call"))
    if error == "wrong tool" and others:
        other = generator.choice(others)
        return (_call_with(other.name, _made_up_arguments(other, generator)),)
    wrong = with_wrong_argument(call, generator) if error != "no call" else None
    if wrong is None:
        return ()
    parameters = by_name[call.name].parameters
    assert canonical_key(wrong, parameters) != canonical_key(call, parameters), f"{wrong} equals {call}"
    return (wrong,)


def _made_up_arguments(tool: Tool, generator: random.Random) -> dict[str, Any]:
    properties = tool.parameters.get("properties", {})
    names = tool.parameters.get("required", [])
    return {name: _made_up_value(properties.get(name, {}), generator) for name in names}


def _made_up_value(schema: Any, generator: random.Random) -> Any:
    if schema.get("enum"):
        return generator.choice(schema["enum"])
    match schema.get("type"):
        case "integer" | "number":
            return generator.randrange(1, 100)
        case "boolean":
            return generator.random() < 0.5
        case "array":
            return []
        case "object":
            return {}
        case _:
            return generator.choice(_WORDS)


def _call_with(name: str, arguments: dict[str, Any]) -> ToolCall:
    return ToolCall(name=name, arguments=json.dumps(arguments, ensure_ascii=False))
