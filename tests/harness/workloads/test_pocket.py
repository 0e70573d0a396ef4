"""The pocket workload: tasks of the held-out split, drawn from a seed."""

import pytest

from harness.pocket.world import draw_tasks
from harness.workloads.pocket import load_pocket
from precall.errors import ConfigError


def test_the_workload_is_the_held_out_split_of_a_seed():
    expected = [task.task for task in draw_tasks(20, seed=4, split="held_out")]
    assert load_pocket(num_tasks=20, seed=4) == expected
    assert load_pocket(num_tasks=5, seed=4) == expected[:5]
    assert load_pocket(num_tasks=20, seed=5) != expected
    assert load_pocket(num_tasks=20, seed=4, split="train") != expected


@pytest.mark.parametrize("num_tasks", [0, -1])
def test_fewer_than_one_task_is_refused(num_tasks: int):
    with pytest.raises(ConfigError, match=rf"num_tasks is {num_tasks}; it must be at least 1"):
        load_pocket(num_tasks=num_tasks, seed=0)


def test_an_unknown_split_is_refused():
    with pytest.raises(ConfigError, match="split is 'test'; it must be one of train, held_out"):
        load_pocket(num_tasks=1, seed=0, split="test")  # pyright: ignore[reportArgumentType]
