"""The pocket workload: tasks of the held-out split, drawn from a seed."""

import json

import pytest

from harness.pocket.world import draw_tasks
from harness.workloads.pocket import load_pocket, load_pocket_by_id
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


def test_a_task_is_found_again_by_its_id():
    tasks = load_pocket(num_tasks=3, seed=7)
    ids = [task.task_id for task in tasks]
    assert load_pocket_by_id([ids[2], "simple_python_1", "pocket_test_7_0", ids[0]]) == [tasks[2], tasks[0]]


def test_the_settings_of_a_block_share_its_tasks():
    first, again = load_pocket(num_tasks=5, seed=7), load_pocket(num_tasks=5, seed=7)
    assert all(one is other for one, other in zip(first, again, strict=True))
    first.clear()
    assert load_pocket(num_tasks=5, seed=7) == again


def test_what_one_trajectory_of_a_task_writes_no_other_sees():
    names = ["add_event", "list_events"]
    tasks = load_pocket(num_tasks=400, seed=7)
    task = next(each for each in tasks if [call.name for call in each.reference_calls[0]] == names)

    def listed() -> str:
        tools = {tool.name: tool for tool in task.make_tools()}
        return [tools[call.name].function(**json.loads(call.arguments)) for call in task.reference_calls[0]][-1]

    assert listed() == listed()
