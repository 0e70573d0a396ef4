"""Speculation that is broken on purpose, and the records that it leaves: experiments on simulated engines."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from agents.task import Task
from harness import participants
from harness.backends.simulated import participants as simulated
from harness.runner import MakeParticipants, Participants
from harness.tables import CELLS
from precall.calls import CallKey, Observation
from precall.chat import Messages
from precall.events import EventRecorder
from precall.executions import Outcome
from precall.speculation import ClientSpeculation
from precall.stream import Generation
from precall.tools import Tool
from precall.turn import Target
from tests.harness.command_line import run_here

SMALL = (
    *("backend=simulated", "scale=local", "tracker=disabled"),
    *("scale.num_blocks=3", "scale.num_agents=3", "scale.tasks_per_agent=1", "workload.categories=[simple_python]"),
)
EXPERIMENTS = {
    "fig1": ("experiment=fig1", "scale.latencies=[0.25,0.5,1.0]", "workload.hit_rate=1.0"),
    "wrong_draft": ("experiment=wrong_draft", "grid={draft.place: [elsewhere]}"),
}


class NeverHits(ClientSpeculation):
    """Looks nothing up: each confirmed call is a miss."""

    async def take(self, key: CallKey) -> tuple[Outcome, Observation | None]:
        return Outcome.MISS, None


class RunsTwice(ClientSpeculation):
    """Runs a confirmed call again where its execution is still in flight, as the paper's client half does."""

    async def take(self, key: CallKey) -> tuple[Outcome, Observation | None]:
        execution = self._executions._alive.get(key)
        if execution is not None and not execution.task.done():
            return Outcome.MISS, None
        return await super().take(key)


class WaitingTarget:
    """Does not begin before the draft has ended."""

    def __init__(self, target: Target, speculation: ClientSpeculation) -> None:
        self._target = target
        self._speculation = speculation

    async def turns(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Generation, None]:
        assert self._speculation._drafting is not None, "a draft is asked in each turn"
        await asyncio.wait({self._speculation._drafting})
        async for generation in self._target.turns(messages, tools):
            yield generation


def waiting_for_the_draft(*args: Any, **kwargs: Any) -> MakeParticipants:
    make = simulated.simulated_participants(*args, **kwargs)

    def make_waiting(task: Task, recorder: EventRecorder, agent: int) -> Participants:
        made = make(task, recorder, agent)
        if not isinstance(made.speculation, ClientSpeculation):
            return made
        return replace(made, target=WaitingTarget(made.target, made.speculation))

    return make_waiting


Break = Callable[[pytest.MonkeyPatch], None]

BREAKS: dict[str, Break] = {
    "nothing": lambda patch: None,
    "waits for the draft": lambda patch: patch.setattr(participants, "simulated_participants", waiting_for_the_draft),
    "never hits": lambda patch: patch.setattr(simulated, "ClientSpeculation", NeverHits),
    "runs tools twice": lambda patch: patch.setattr(simulated, "ClientSpeculation", RunsTwice),
}


def records(what: str, results: Path) -> None:
    """Run the experiments with speculation broken in one way, and leave their tables in `results`. What is simulated is
    modelled, and no evidence of an engine; the tables say `replayed`, as those of the real one would."""
    with pytest.MonkeyPatch.context() as patch:
        BREAKS[what](patch)
        for name, overrides in EXPERIMENTS.items():
            output = results / "runs" / "local" / name
            assert run_here(*SMALL, *overrides, f"output={output}", bench_folder=results / "bench") == 0
    say_origin(results, "replayed")


def say_origin(results: Path, origin: str) -> None:
    """Have the tables in `results` say that this is how their numbers came about."""
    for file in results.rglob(CELLS):
        pd.read_parquet(file).assign(origin=origin).to_parquet(file)
