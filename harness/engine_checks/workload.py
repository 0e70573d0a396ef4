"""The workload of the engine's benches: BFCL multi-turn tasks whose tools return what they are known to return.

Contexts (15,000 characters of tool schemas on average), user turns, calls and observations are BFCL's own: the accepted
calls of `multi_turn_base` are run once on BFCL's tool classes, and what they return is kept. Reasoning and answers are
modelled, as in the other experiments, or the reasoning is left out, as a model trained for calls alone does. Every tool
counts as pure, so every call may be posted: an oracle.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from agents.task import Task
from harness.replay.builder import Modelled, build_trajectories
from harness.replay.rendering import HermesRenderer
from harness.replay.trajectories import RecordedObservation, RecordedTrajectory, RecordedTurn
from harness.workloads.bfcl import load_bfcl
from precall.calls import CallKey, Observation, ToolCall, canonical_key
from precall.tools import Effect, Tool, run_tool

CATEGORY = "multi_turn_base"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Tasks, and by task id the trajectory that every arm replays, with its observations."""

    tasks: tuple[Task, ...]
    trajectories: Mapping[str, RecordedTrajectory]

    def counts(self, model_folder: str) -> dict[str, int]:
        """Return the number of calls, and of their tokens from the opener to the end of the turn."""
        renderer = HermesRenderer(Path(model_folder))
        turns = [turn for trajectory in self.trajectories.values() for turn in trajectory.turns if turn.calls]
        bare = [replace(turn, reasoning="", content="") for turn in turns]
        return {
            "num_calls": sum(len(turn.calls) for turn in turns),
            "num_call_tokens": sum(len(renderer.target_tokens(turn)) for turn in bare),
        }


async def make_workload(num_tasks: int, num_user_turns: int, seed: int, reasoning_words: float = 60.0) -> Workload:
    """Return the first `num_user_turns` user turns of `num_tasks` tasks, drawn by `seed`; `reasoning_words` is the mean
    number before each call and each answer."""
    modelled = Modelled(
        reasoning_words_mean=reasoning_words,
        reasoning_words_std=reasoning_words * 5 / 12,
        answer_words=25,
        hit_rate=1.0,
        num_samples=1,
    )
    tasks = [_cut(task, num_user_turns) for task in load_bfcl([CATEGORY], num_tasks=num_tasks, seed=seed)]
    built = build_trajectories(tasks, modelled, seed).trajectories
    observed = [await _observed(task, trajectory) for task, trajectory in zip(tasks, built, strict=True)]
    return Workload(
        tasks=tuple(_with_pure_tools(task) for task in tasks),
        trajectories={trajectory.task_id: trajectory for trajectory in observed},
    )


def _cut(task: Task, num_user_turns: int) -> Task:
    return replace(
        task,
        user_turns=task.user_turns[:num_user_turns],
        reference_calls=task.reference_calls[:num_user_turns],
    )


async def _observed(task: Task, trajectory: RecordedTrajectory) -> RecordedTrajectory:
    """Return the trajectory with what the task's own tools return."""
    tools = {tool.name: tool for tool in task.make_tools()}
    turns: list[RecordedTurn] = []
    for turn in trajectory.turns:
        observations = [await run_tool(tools[call.name], call) for call in turn.calls]
        recorded = tuple(RecordedObservation(content=each.content, duration_s=None) for each in observations)
        turns.append(replace(turn, observations=recorded if turn.calls else None))
    return replace(trajectory, turns=tuple(turns))


def _with_pure_tools(task: Task) -> Task:
    def make_tools() -> tuple[Tool, ...]:
        return tuple(replace(tool, effect=Effect.PURE) for tool in task.make_tools())

    return replace(task, make_tools=make_tools)


class KnownExecutor:
    """Returns the recorded observation of a call, `latency_s` after it was asked for, and runs no tool. For one
    trajectory; a call that recurs gets its observations in their order."""

    def __init__(self, trajectory: RecordedTrajectory, latency_s: float) -> None:
        self._latency_s = latency_s
        self._known: dict[CallKey, list[str]] = {}
        for turn in trajectory.turns:
            for call, observation in zip(turn.calls, turn.observations or (), strict=True):
                self._known.setdefault(canonical_key(call), []).append(observation.content)

    async def __call__(self, tool: Tool, call: ToolCall, occurrence: int) -> Observation:
        await asyncio.sleep(self._latency_s)
        return Observation(content=self._known[canonical_key(call)][occurrence], duration_s=self._latency_s)
