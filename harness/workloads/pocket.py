"""Tasks of the pocket world (harness/pocket/), drawn from a seed."""

import functools
from collections.abc import Sequence
from typing import get_args

from agents.task import Task
from harness.pocket.values import Split
from harness.pocket.world import draw_tasks, drawn_again
from precall.errors import ConfigError


def load_pocket(*, num_tasks: int, seed: int, split: Split = "held_out") -> list[Task]:
    """Return `num_tasks` tasks of a split, up to three tools each; the same arguments return the same tasks in order.
    Models are trained on values and phrases of the split "train", and none of those is in "held_out".

    Raises ConfigError for fewer than 1 task and for an unknown split.
    """
    if num_tasks < 1:
        raise ConfigError(f"num_tasks is {num_tasks}; it must be at least 1.")
    if split not in get_args(Split):
        raise ConfigError(f"split is {split!r}; it must be one of {', '.join(get_args(Split))}.")
    return list(_drawn(num_tasks, seed, split))


@functools.lru_cache(maxsize=16)  # the settings of an experiment share the tasks of a block
def _drawn(num_tasks: int, seed: int, split: Split) -> tuple[Task, ...]:
    return tuple(task.task for task in draw_tasks(num_tasks, seed=seed, split=split))


def load_pocket_by_id(task_ids: Sequence[str]) -> list[Task]:
    """Return the tasks with these ids, which name the seed and the split that they are drawn from; ids of other
    workloads are left out."""
    return [task.task for task_id in task_ids if (task := drawn_again(task_id)) is not None]
