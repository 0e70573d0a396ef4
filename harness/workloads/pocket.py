"""Tasks of the pocket world (harness/pocket/), drawn from a seed."""

from typing import get_args

from agents.task import Task
from harness.pocket.values import Split
from harness.pocket.world import draw_tasks
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
    return [task.task for task in draw_tasks(num_tasks, seed=seed, split=split)]
