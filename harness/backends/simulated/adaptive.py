"""`make simulate-adaptive`: speculation off, always on, and adaptive, on a workload whose regime changes half-way.

Agents and their draft share one simulated engine, that of the paper's calibration: the draft is the target itself, so
that every sample makes the target's steps longer. In one half the draft has most calls, in the other none, in both
orders. All numbers are modelled. The last line on stdout is one JSON object: per arm the seconds of a task in each
half, without the first `lag_tasks` of an agent's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from harness.backends.simulated import calibrate
from harness.backends.simulated.paper import PaperParameters
from harness.backends.simulated.server import SimulatedServer
from harness.backends.simulated.setting import Method, Setting
from harness.backends.simulated.synthetic import SyntheticWorld
from harness.backends.simulated.work import TaskWork, draw_tasks
from harness.bench import write_bench
from harness.runner import ArmRun, run_arm
from precall.adaptive import AdaptiveSwitch
from precall.ledger import Ledger
from precall.testing.virtual_time import run_virtual

ARMS = ("off", "on", "adaptive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A workload: tasks per agent in each half, of which the first `lag_tasks` are left out of a half's numbers, and
    the draft's hit rate in each half."""

    num_agents: int = 8
    tasks_per_half: int = 30
    lag_tasks: int = 10
    num_samples: int = 3
    latency_mean_s: float = 1.5
    hit_rates: tuple[float, float] = (0.9, 0.0)
    seed: int = 0


def work_of(change: Change, parameters: PaperParameters) -> list[list[TaskWork]]:
    """Return the tasks of each agent. Whether the draft has a call depends on its task alone, not on the arm."""
    model = replace(parameters.work(), num_calls=2)
    agents = []
    for agent in range(change.num_agents):
        tasks = draw_tasks(model, 2 * change.tasks_per_half, f"{change.seed}/agent {agent}")
        agents.append([_with_hits(t, change.hit_rates[i >= change.tasks_per_half]) for i, t in enumerate(tasks)])
    return agents


def _with_hits(task: TaskWork, hit_rate: float) -> TaskWork:
    turns = (replace(turn, hit_draw=0.0 if turn.hit_draw < hit_rate else 1.0) for turn in task.turns)
    return replace(task, turns=tuple(turns))


def run(change: Change, parameters: PaperParameters, arm: str) -> dict[str, Any]:
    """Run one arm and return the mean seconds of a task in each half, and how often the draft was asked."""
    work = work_of(change, parameters)
    method = Method.standard if arm == "off" else Method.client
    setting = Setting(
        method=method,
        latency_mean_s=change.latency_mean_s,
        latency_std_s=0.2 * change.latency_mean_s,
        hit_rate=0.5,  # every draw is 0 or 1
        num_samples=change.num_samples,
    )
    arm_run = ArmRun(arm=arm)

    async def agents() -> None:
        server = SimulatedServer(parameters.target())
        switch = AdaptiveSwitch(seed=change.seed) if arm == "adaptive" else None
        world = SyntheticWorld(work, setting, server, [server], switch)
        await run_arm(
            arm_run,
            tasks=world.tasks,
            num_agents=change.num_agents,
            max_turns=20,
            make_participants=world.make,
            servers=[],
            on_trajectory=lambda _: None,
        )

    run_virtual(agents())
    ledger = Ledger.from_events(arm_run.events)
    size, lag = change.tasks_per_half, change.lag_tasks
    durations = [[trajectory.duration_s for trajectory in agent] for agent in arm_run.trajectories]
    return {
        "task_s": [_mean_s(durations, lag, size), _mean_s(durations, size + lag, 2 * size)],
        "wall_s": round(arm_run.wall_s, 1),
        "drafted_share": ledger.drafted_share,
    }


def _mean_s(durations: Sequence[Sequence[float]], start: int, end: int) -> float:
    return round(fmean(seconds for agent in durations for seconds in agent[start:end]), 3)


def compare(change: Change, parameters: PaperParameters) -> dict[str, Any]:
    """Return every arm, and by how much a task takes longer in each half under `adaptive` than under the better of the
    others, in percent."""
    arms = {arm: run(change, parameters, arm) for arm in ARMS}
    losses = []
    for half in range(2):
        off_s, on_s, adaptive_s = (arms[arm]["task_s"][half] for arm in ARMS)
        losses.append(round(100.0 * (adaptive_s / min(off_s, on_s) - 1.0), 2))
    return {"arms": arms, "loss_pct": losses}


def main() -> None:
    parameters = PaperParameters(**calibrate.load()["parameters"])
    change = Change()
    back = replace(change, hit_rates=(0.0, 0.9))
    figures = {"right_then_wrong": compare(change, parameters), "wrong_then_right": compare(back, parameters)}
    write_bench("simulate_adaptive", {**figures, "lag_tasks": change.lag_tasks, "origin": "modelled"}, change.seed)


if __name__ == "__main__":
    main()
