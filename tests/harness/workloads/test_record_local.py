"""The recordings of our own tasks are what their plans give when the tools really run."""

from dataclasses import replace

import pytest

from harness.replay.plans import observe, without_observations
from harness.replay.trajectories import RecordedTrajectory
from harness.schema import RECORDED
from harness.workloads.record_local import MAX_TURNS, TASKS, plans_of, recorded
from precall.calls import canonical_key
from tests.harness.configs import config_of

pytestmark = pytest.mark.sandbox

NUM_RECORDED = {"swe": 8, "swe_tools": 8, "reasoning": 30}
CASES = [(name, task_id) for name in TASKS for task_id in sorted(recorded(name))]


def without_durations(trajectory: RecordedTrajectory) -> RecordedTrajectory:
    turns = [
        replace(turn, observations=tuple(replace(each, duration_s=None) for each in turn.observations or ()))
        for turn in trajectory.turns
    ]
    return replace(trajectory, turns=tuple(turns))


@pytest.mark.parametrize("name", TASKS)
def test_every_task_of_ours_has_a_recording_of_its_plan(name: str) -> None:
    found = recorded(name)
    assert len(found) == len(TASKS[name]()) == NUM_RECORDED[name]
    assert {task_id: without_observations(each) for task_id, each in found.items()} == {
        task_id: plan for task_id, (_, plan) in plans_of(name).items()
    }


@pytest.mark.parametrize(("name", "task_id"), CASES, ids=[f"{name}-{task_id}" for name, task_id in CASES])
async def test_a_recording_is_what_the_tools_return_again(name: str, task_id: str) -> None:
    task, plan = plans_of(name)[task_id]
    found = await observe(task, plan, MAX_TURNS[name])
    assert without_durations(found) == without_durations(recorded(name)[task_id])


@pytest.mark.parametrize("name", TASKS)
def test_drafts_are_right_at_times_and_wrong_at_others(name: str) -> None:
    tasks = {task.task_id: task for task in TASKS[name]()}
    right = wrong = silent = 0
    for task_id, trajectory in recorded(name).items():
        tools = {tool.name: tool for tool in tasks[task_id].make_tools()}
        for turn in trajectory.turns:
            assert 1 <= len(turn.draft_samples) <= 3
            wanted = {canonical_key(call, tools[call.name].parameters) for call in turn.calls}
            drafted = {
                canonical_key(call, tools[call.name].parameters) for sample in turn.draft_samples for call in sample
            }
            right += bool(wanted & drafted)
            wrong += bool(drafted - wanted)
            silent += bool(turn.calls) and () in turn.draft_samples
    assert right > 20 and wrong > 10 and silent > 3


@pytest.mark.parametrize("name", TASKS)
def test_recordings_are_small_and_know_no_machine(name: str) -> None:
    text = (RECORDED / f"{name}.jsonl").read_text(encoding="utf-8")
    assert len(text) < 300_000
    assert not any(prefix in text for prefix in ("/home/", "/root/", "/usr/lib", "/opt/", "site-packages"))


def test_the_limits_of_turns_are_those_of_the_agents() -> None:
    workloads = {"swe": "swe_local", "swe_tools": "swe_local", "reasoning": "reasoning_local"}
    for name, workload in workloads.items():
        assert config_of(f"workload={workload}", f"agent={name}").agent.max_turns == MAX_TURNS[name]
