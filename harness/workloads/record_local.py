"""`python -m harness.workloads.record_local [NAME ...]`: records trajectories of our own tasks from their plans.

The plans (harness/workloads/plans/NAME/, see harness/replay/plans.py) say what target and draft say; the real tools are
run for what they return and how long they take. Writes harness/workloads/recorded/NAME.jsonl, from which
`workload=swe_local` and `workload=reasoning_local` replay. A plan that does not solve its task is refused. A task whose
plan is the recorded one is left as it is; `--anew` records all of them.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from agents.swe import bash_agent
from agents.swe_tools import tools_agent
from agents.task import Task
from harness.replay.plans import observe, read_plans, without_observations
from harness.replay.trajectories import RecordedTrajectory, TrajectorySet, read_trajectories, write_trajectories
from harness.schema import RECORDED
from harness.workloads.reasoning import load_local
from harness.workloads.swe_local import load_swe_local
from precall.errors import PrecallError

PLANS = Path(__file__).with_name("plans")
MAX_TURNS = {"swe": 50, "swe_tools": 50, "reasoning": 12}
TASKS: dict[str, Callable[[], list[Task]]] = {
    "swe": lambda: load_swe_local(bash_agent(), num_tasks=None, seed=0),
    "swe_tools": lambda: load_swe_local(tools_agent(), num_tasks=None, seed=0),
    "reasoning": load_local,
}


def plans_of(name: str) -> dict[str, tuple[Task, RecordedTrajectory]]:
    """Return the tasks of `name` that have a plan, each with its plan, by task id."""
    tasks = {task.task_id: task for task in TASKS[name]()}
    plans = read_plans(PLANS / name, tasks.values())
    return {task_id: (tasks[task_id], plans[task_id]) for task_id in sorted(plans)}


def recorded(name: str) -> dict[str, RecordedTrajectory]:
    """Return what is recorded of `name`, by task id; nothing where there is no file yet."""
    file = RECORDED / f"{name}.jsonl"
    found = read_trajectories(file).trajectories if file.exists() else ()
    return {trajectory.task_id: trajectory for trajectory in found}


async def record(name: str, *, is_anew: bool) -> None:
    """Record what the plans of `name` make of their tasks; each is kept as soon as it is there."""
    planned, known = plans_of(name), {} if is_anew else recorded(name)
    kept = {task_id: known[task_id] for task_id in planned if task_id in known}
    for number, (task_id, (task, plan)) in enumerate(planned.items(), start=1):
        if task_id not in kept or without_observations(kept[task_id]) != plan:
            kept[task_id] = await observe(task, plan, MAX_TURNS[name])
            print(f"{name}, {number} of {len(planned)}: {task_id}, {len(plan.turns)} turns", flush=True)
            _write(name, [kept[each] for each in planned if each in kept])
    _write(name, [kept[each] for each in planned])


def _write(name: str, trajectories: Iterable[RecordedTrajectory]) -> None:
    description = f"plans of {name}, written by hand; what the tools returned, and how long they took, is recorded"
    written = TrajectorySet(origin="written", description=description, trajectories=tuple(trajectories))
    write_trajectories(RECORDED / f"{name}.jsonl", written)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m harness.workloads.record_local", description=__doc__)
    parser.add_argument("names", nargs="*", default=list(TASKS), help=f"of {', '.join(TASKS)} (default all)")
    parser.add_argument("--anew", action="store_true", help="also those whose plan has not changed")
    args = parser.parse_args()
    if unknown := set(args.names) - set(TASKS):
        parser.error(f"{sorted(unknown)[0]} has no plans; NAME must be one of {', '.join(TASKS)}")
    try:
        for name in args.names:
            asyncio.run(record(name, is_anew=args.anew))
    except PrecallError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
