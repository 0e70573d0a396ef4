"""The reasoning workloads compose, give the tasks of their data sets, and find recorded ones again."""

import functools
from pathlib import Path

import pytest

from harness import build
from harness.replay.trajectories import RecordedTrajectory, RecordedTurn, TrajectorySet, write_trajectories
from harness.workloads import load
from precall.errors import ConfigError
from tests.harness.configs import config_of

LIVE = ("model.is_replay=false", "draft=colocated", "draft.model.is_replay=false")
HUB_ROWS = {
    "gsm8k": {"question": "?", "answer": "#### 1"},
    "math500": {"problem": "?", "answer": "1", "unique_id": "u"},
    "aime": {"problem": "?", "answer": "1", "id": "0"},
    "hotpotqa": {"question": "?", "answer": "1", "id": "q", "context": {"title": ["a"], "sentences": [["word"]]}},
}


@pytest.mark.parametrize("name", ["reasoning_local", *HUB_ROWS])
def test_every_reasoning_workload_composes_and_gives_its_tasks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: [HUB_ROWS[name]] * 2)
    monkeypatch.setattr(load, "_all_reasoning_tasks", functools.cache(load._all_reasoning_tasks.__wrapped__))
    num_agents = 1 if name in HUB_ROWS else 2
    config = config_of(f"workload={name}", "agent=reasoning", *LIVE, f"agent.num_agents={num_agents}")
    assert config.workload.name == name
    tasks = build.tasks_of(config, "block 0")
    assert len(tasks) == num_agents * config.agent.tasks_per_agent
    assert build.tasks_of(config, "block 0") == tasks
    assert all(task.make_tools() for task in tasks)


def test_the_reasoning_agent_takes_its_tasks_from_any_reasoning_workload(tmp_path: Path) -> None:
    overrides = ("workload=reasoning_local", "agent=reasoning", "agent.num_agents=5", "agent.tasks_per_agent=6")
    config = config_of(*overrides, *LIVE)
    tasks = build.tasks_of(config, "block 0")
    assert len({task.task_id for task in tasks}) == 30
    answer = RecordedTurn(user_turn=0, reasoning="", content="Answer: 1", calls=(), draft_samples=())
    recorded = tuple(RecordedTrajectory(task_id=task.task_id, turns=(answer,)) for task in tasks[:4])
    file = tmp_path / "reasoning.jsonl"
    write_trajectories(file, TrajectorySet(origin="recorded", description="by hand", trajectories=recorded))
    replayed = config_of(
        *overrides[:2], f"workload.trajectories={file}", "agent.num_agents=2", "agent.tasks_per_agent=2"
    )
    assert {task.task_id for task in build.tasks_of(replayed, "block 0")} == {each.task_id for each in recorded}
    with pytest.raises(ConfigError, match=r"num_tasks is 36; .* 1 and 30, .* reasoning_local"):
        build.tasks_of(
            config_of(*overrides[:2], "agent.num_agents=6", "agent.tasks_per_agent=6", *LIVE),
            "block 0",
        )
