"""What live models said, as scripts to simulate: the target in a cell, and its draft there and wherever else it was
asked the same.

A draft is cut off when the target is done, so that a cell shows what its draft said where it was early, and not what it
would have said where it was late. Runs at other tool latencies, other runs of a cell and runs with other numbers of
samples have asked the same draft about the same history; what it answered there stands in for what is missing. That is
what the models say, not how long anything took.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Any

from agents.task import Task
from harness import build
from harness.backends.simulated.participants import Scripts
from harness.backends.simulated.recorded import script_of
from harness.backends.simulated.script import ScriptedSample
from harness.metrics.comparison import task_id_of
from harness.replay.rendering import Renderer
from harness.replay.trajectories import RecordedTrajectory, RecordedTurn, read_trajectories
from harness.schema import Config
from precall.calls import ToolCall
from precall.errors import ConfigError
from precall.events import Event, EventKind

RUN = "spec-1"
"""The run of a cell that is followed."""
Runs = Mapping[str, Sequence[Event]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """One sample as it came: in which run of which cell, its calls, and its tokens if the server counted them."""

    source: tuple[Path, str]
    calls: tuple[ToolCall, ...]
    num_tokens: int | None


class DraftAnswers:
    """The answers of drafts by what they were asked."""

    def __init__(self) -> None:
        self._known: dict[Any, list[_Answer]] = {}

    def add(self, path: Path, config: Config, runs: Runs) -> None:
        """Add those of the cell at `path`."""
        for name, events in runs.items():
            if not name.startswith("spec"):
                continue
            turns_of = {task_id: found.turns for task_id, found in _trajectories(path, name).items()}
            answered = [event for event in events if event.kind is EventKind.DRAFT_ANSWERED]
            for event in sorted(answered, key=lambda event: event.data["sample"]):
                turns, index = turns_of.get(task_id_of(event), ()), event.turn
                if index is not None and index < len(turns):
                    calls = tuple(ToolCall(name=c["name"], arguments=c["arguments"]) for c in event.data["calls"])
                    answer = _Answer(
                        source=(path, name), calls=calls, num_tokens=event.data["num_output_tokens"] or None
                    )
                    self._known.setdefault(_asked(config, task_id_of(event), turns, index), []).append(answer)

    def of_turn(
        self, path: Path, config: Config, task_id: str, turns: Sequence[RecordedTurn], index: int
    ) -> list[_Answer]:
        """Return as many answers as the draft is asked for, those that the cell at `path` has in RUN first, or none
        where nothing is known."""
        known = self._known.get(_asked(config, task_id, turns, index), [])
        own = [answer for answer in known if answer.source == (path, RUN)]
        others = [answer for answer in known if answer.source != (path, RUN)]
        return list(islice(chain(own, cycle(others or own)), config.draft.num_samples))


def _asked(config: Config, task_id: str, turns: Sequence[RecordedTurn], index: int) -> Any:
    """Return what decides about a draft's answers in a turn: who was asked, how, and after which history."""
    history = tuple((turn.content, turn.calls) for turn in turns[:index])
    return config.draft.model.name, config.draft.model.temperature, task_id, history


def _trajectories(path: Path, run: str) -> dict[str, RecordedTrajectory]:
    found = read_trajectories(path / f"trajectories-{run}.jsonl").trajectories
    return {trajectory.task_id: trajectory for trajectory in found}


def scripts_of(config: Config, path: Path, tasks: Sequence[Task], answers: DraftAnswers) -> Scripts:
    """Return what the models of the cell at `path` say. A sample of which nothing is known is wrong, and as long as
    what the target says without its reasoning. Raises ConfigError where a trajectory is missing."""
    target, draft = build.renderer_of(config.model), build.renderer_of(config.draft.model)
    recorded = _trajectories(path, RUN)
    if missing := [task.task_id for task in tasks if task.task_id not in recorded]:
        raise ConfigError(f"{path} has no trajectory of {missing[0]} that can be followed; leave this cell out.")
    scripts = {}
    for task in tasks:
        turns = recorded[task.task_id].turns
        script = script_of(task, recorded[task.task_id], target, draft)
        said = []
        for index, scripted in enumerate(script.turns):
            found = answers.of_turn(path, config, task.task_id, turns, index)
            length = len(target.target_tokens(replace(turns[index], reasoning="")))
            samples = [_sample(answer, draft, length) for answer in found]
            samples += [ScriptedSample(calls=(), num_tokens=length)] * (config.draft.num_samples - len(samples))
            said.append(replace(scripted, samples=tuple(samples)))
        scripts[task.task_id] = replace(script, turns=tuple(said))
    return Scripts(recorded=recorded, scripts=scripts)


def _sample(answer: _Answer, draft: Renderer, length: int) -> ScriptedSample:
    """Return an answer as it is simulated; one without a call whose tokens were not counted has `length`."""
    counted = len(draft.draft_tokens(answer.calls)) if answer.calls else length
    return ScriptedSample(calls=answer.calls, num_tokens=answer.num_tokens or counted)
