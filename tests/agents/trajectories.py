"""Trajectories that have ended, made up for the tests of what reads them."""

from typing import Any

from agents.trajectory import Status, Trajectory


def ended(task_id: str, **changes: Any) -> Trajectory:
    """Return a trajectory of a task, without turns and finished unless `changes` says otherwise."""
    fields: dict[str, Any] = {
        "trajectory_id": f"spec-1/{task_id}",
        "task_id": task_id,
        "status": Status.FINISHED,
        "turns": (),
        "user_turn_of": (),
        "started_s": 0.0,
        "finished_s": 1.0,
    }
    return Trajectory(**fields | changes)
