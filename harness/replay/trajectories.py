"""The trajectory format: what a target and a draft said and what the tools returned, so that any engine can replay it.

JSON lines in UTF-8. The first line is the header:

    {"format": "precall-trajectories", "version": 1, "origin": "built" | "recorded" | "written", "description": "..."}

Built ones come from accepted answers (builder.py), recorded ones from a run (recorder.py), and of written ones target
and draft are written by hand, and the tools' part is recorded (plans.py).

Every other line is one trajectory:

    {"task_id": "simple_python_3",
     "turns": [{"user_turn": 0,                  which user turn this turn belongs to, from 0
                "reasoning": "...",              what the target generated, in its three parts
                "content": "...",
                "calls": [{"name": "...", "arguments": "{...}"}],
                "draft_samples": [[{"name": "...", "arguments": "{...}"}], []],   per sample its calls; [] is "no call"
                "observations": [{"content": "...", "duration_s": 0.1}]}]}        one per call; absent if not recorded

A user turn ends where its task says so: with an answer, which has no calls, or with the call that submits the work. A
turn in between without calls is one after which the target was told to call. What a replay needs of each turn is
derived from these fields; tokens are not stored, so that a trajectory replays under any tokenizer.
"""

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from precall.calls import ToolCall
from precall.errors import ConfigError

FORMAT = "precall-trajectories"
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedObservation:
    content: str
    duration_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTurn:
    user_turn: int
    reasoning: str
    content: str
    calls: tuple[ToolCall, ...]
    draft_samples: tuple[tuple[ToolCall, ...], ...] = ()
    observations: tuple[RecordedObservation, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTrajectory:
    task_id: str
    turns: tuple[RecordedTurn, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrajectorySet:
    origin: str
    description: str
    trajectories: tuple[RecordedTrajectory, ...]


def write_trajectories(path: Path, trajectories: TrajectorySet) -> None:
    """Write a set of trajectories to `path`, whole or not at all."""
    header = {
        "format": FORMAT,
        "version": VERSION,
        "origin": trajectories.origin,
        "description": trajectories.description,
    }
    lines = [json.dumps(header), *(json.dumps(_to_json(t)) for t in trajectories.trajectories)]
    partial = path.with_suffix(path.suffix + ".partial")
    partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    partial.replace(path)


def read_trajectories(path: Path) -> TrajectorySet:
    """Read a set of trajectories. Raises ConfigError, which names file and line, when it is not in the format."""
    try:
        # Not splitlines(), which also breaks at characters that JSON allows inside a string.
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The trajectory file {path} cannot be read: {error}.") from error
    if lines == [""]:
        raise ConfigError(f"{path}:1: the file is empty; the first line must be the header of {FORMAT}.")
    header = _parse_line(path, 1, lines[0])
    if header.get("format") != FORMAT or header.get("version") != VERSION:
        found = f"{header.get('format')!r} version {header.get('version')!r}"
        raise ConfigError(f"{path}:1: the header says {found}; this reader knows {FORMAT!r} version {VERSION}.")
    trajectories = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines[1:], start=2):
        trajectory = _from_json(path, number, _parse_line(path, number, line))
        if trajectory.task_id in seen:
            raise ConfigError(
                f"{path}:{number}: task {trajectory.task_id} is on line {seen[trajectory.task_id]} already."
            )
        seen[trajectory.task_id] = number
        trajectories.append(trajectory)
    return TrajectorySet(
        origin=str(header.get("origin")),
        description=str(header.get("description")),
        trajectories=tuple(trajectories),
    )


def _parse_line(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"{path}:{number}: this line is not JSON ({error}); the file is corrupt.") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}:{number}: this line is a JSON {type(value).__name__}; it must be an object.")
    return value


def _to_json(trajectory: RecordedTrajectory) -> dict[str, Any]:
    turns = []
    for turn in trajectory.turns:
        fields: dict[str, Any] = {
            "user_turn": turn.user_turn,
            "reasoning": turn.reasoning,
            "content": turn.content,
            "calls": _calls_to_json(turn.calls),
            "draft_samples": [_calls_to_json(sample) for sample in turn.draft_samples],
        }
        if turn.observations is not None:
            fields["observations"] = [{"content": o.content, "duration_s": o.duration_s} for o in turn.observations]
        turns.append(fields)
    return {"task_id": trajectory.task_id, "turns": turns}


def _calls_to_json(calls: Iterable[ToolCall]) -> list[dict[str, str]]:
    return [{"name": call.name, "arguments": call.arguments} for call in calls]


def _from_json(path: Path, number: int, fields: dict[str, Any]) -> RecordedTrajectory:
    try:
        trajectory = RecordedTrajectory(
            task_id=_text(fields, "task_id"), turns=tuple(_turn_from_json(turn) for turn in fields["turns"])
        )
        _check_turns(trajectory.turns)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"the field {error} is missing" if isinstance(error, KeyError) else str(error)
        raise ConfigError(f"{path}:{number}: {reason}; see the format in harness/replay/trajectories.py.") from error
    return trajectory


def _turn_from_json(fields: dict[str, Any]) -> RecordedTurn:
    calls = _calls_from_json(fields["calls"])
    observations = fields.get("observations")
    if observations is not None:
        if len(observations) != len(calls):
            raise ValueError(f"a turn has {len(calls)} calls and {len(observations)} observations")
        observations = tuple(
            RecordedObservation(content=_text(item, "content"), duration_s=item.get("duration_s"))
            for item in observations
        )
    return RecordedTurn(
        user_turn=int(fields["user_turn"]),
        reasoning=_text(fields, "reasoning"),
        content=_text(fields, "content"),
        calls=calls,
        draft_samples=tuple(_calls_from_json(sample) for sample in fields["draft_samples"]),
        observations=observations,
    )


def _calls_from_json(calls: Any) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(name=_text(call, "name"), arguments=_text(call, "arguments")) for call in calls)


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}; it must be a string")
    return value


def _check_turns(turns: Sequence[RecordedTurn]) -> None:
    if not turns or turns[0].user_turn != 0:
        raise ValueError("a trajectory must begin with a turn of user turn 0")
    for this, following in itertools.pairwise(turns):
        if following.user_turn not in (this.user_turn, this.user_turn + 1):
            raise ValueError(
                f"a turn belongs to user turn {following.user_turn}; after the turn before it must be "
                f"{this.user_turn} or {this.user_turn + 1}"
            )
