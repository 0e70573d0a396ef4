"""How long target and draft take for the same turns: g and G in seconds, each alone and both at the same time.

Turns of a task are asked in their order under one salt, so that the prefix cache has of each prompt what it has in a
live trajectory. As many tasks are under way at once as there are agents.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.participants import cache_salt_of
from harness.pocket.evaluation.asking import NUM_SAMPLES, LiveTask, LiveTurn, at_once
from precall.drafts.protocol import Draft
from precall.events import now_s
from precall.tools import Tool
from precall.turn import Target

NUM_REPEATS = 2
TASKS_PER_AGENT = 2
"""Tasks that an agent works through before the next mode has its turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """Who is asked: the target, a draft with `num_samples` samples (0: not asked), or both at the same time."""

    has_target: bool
    num_samples: int


MODES = (
    Mode(has_target=True, num_samples=0),
    *(Mode(has_target=has_target, num_samples=num) for num in NUM_SAMPLES for has_target in (False, True)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One turn, asked once in one mode, beside those of `num_agents - 1` others: `G_s` until the target's generation is
    complete, `g_s` until the draft's last sample is; None for one that was not asked."""

    task_id: str
    turn: int
    mode: Mode
    num_agents: int
    repeat: int
    G_s: float | None
    g_s: float | None


class Models(Protocol):
    """Makes who is asked about a task."""

    def target(self, salt: str) -> Target: ...

    def draft(self, task_id: str, num_samples: int, salt: str) -> Draft: ...


def choose_tasks(live: Sequence[LiveTask], num_tasks: int, seed: int) -> list[LiveTask]:
    """Return `num_tasks` tasks in which the target asked for calls, or all if there are fewer."""
    asking = [task for task in live if task.call_turns]
    return random.Random(f"pocket timing {seed}").sample(asking, min(num_tasks, len(asking)))


def plan(tasks: Sequence[LiveTask], num_agents: int) -> list[tuple[int, Mode, Sequence[LiveTask]]]:
    """Return what is measured, in order: repeat, mode, tasks. A few tasks go through all modes before the next few do,
    in every second repeat in the reverse order, so that no mode has a share of the machine's moods to itself."""
    size = num_agents * TASKS_PER_AGENT
    groups = [tasks[start : start + size] for start in range(0, len(tasks), size)]
    return [
        (repeat, mode, group)
        for repeat in range(NUM_REPEATS)
        for group in groups
        for mode in (MODES if repeat % 2 == 0 else reversed(MODES))
    ]


async def measure_times(
    tasks: Sequence[LiveTask], models: Models, *, num_agents: int, run: str, on_done: Callable[[], None]
) -> list[Timing]:
    """Time the turns of `tasks` that ask for calls, in all modes, after a round that is not kept. `run` is part of the
    salts; `on_done` is told of every step of the plan."""
    timings: list[Timing] = []
    for mode in MODES:
        await _walk(tasks[0], models, mode, num_agents=num_agents, repeat=-1, run=run)
    for repeat, mode, group in plan(tasks, num_agents):

        async def walk(task: LiveTask, repeat: int = repeat, mode: Mode = mode) -> list[Timing]:
            return await _walk(task, models, mode, num_agents=num_agents, repeat=repeat, run=run)

        for found in await at_once(group, walk, num_agents, on_done=lambda: None):
            timings += found
        on_done()
    return timings


async def _walk(live: LiveTask, models: Models, mode: Mode, *, num_agents: int, repeat: int, run: str) -> list[Timing]:
    task_id, tools = live.task.task.task_id, live.task.task.make_tools()
    salt = cache_salt_of(run, task_id, str(num_agents), str(repeat), str(mode))
    target = models.target(salt) if mode.has_target else None
    draft = models.draft(task_id, mode.num_samples, salt) if mode.num_samples else None
    timings: list[Timing] = []
    for turn in live.call_turns:
        drafting = asyncio.create_task(_draft_s(draft, turn, tools))  # as a turn of an agent does
        try:
            G_s = await _target_s(target, turn, tools)
            g_s = await drafting
        finally:
            drafting.cancel()
            await asyncio.gather(drafting, return_exceptions=True)
        timings.append(
            Timing(
                task_id=task_id,
                turn=turn.index,
                mode=mode,
                num_agents=num_agents,
                repeat=repeat,
                G_s=G_s,
                g_s=g_s,
            )
        )
    return timings


async def _target_s(target: Target | None, turn: LiveTurn, tools: Sequence[Tool]) -> float | None:
    if target is None:
        return None
    (generation,) = [each async for each in target.turns(turn.history, tools)]
    return generation.finished_s - generation.sent_s


async def _draft_s(draft: Draft | None, turn: LiveTurn, tools: Sequence[Tool]) -> float | None:
    if draft is None:
        return None
    started_s = now_s()
    async for _ in draft.predict(turn.history, tools):
        pass
    return now_s() - started_s
