"""A recorded trajectory of an SWE task, replayed by the whole harness against a server in the place of vLLM: commands,
forks and grading are real."""

import json
from pathlib import Path

import pytest

from agents import mini
from harness.records import RunFolder
from harness.replay.trajectories import (
    RecordedTrajectory,
    RecordedTurn,
    TrajectorySet,
    read_trajectories,
    write_trajectories,
)
from precall.calls import ToolCall
from tests.harness.experiments import Run

pytestmark = pytest.mark.sandbox

TASK = "pagekit__pagekit-12"
FIX = "sed -i 's|return hits // self.per_page + 1|return -(-hits // self.per_page)|' pagekit/paginator.py"
REPLAYED = (
    "experiment=swe",
    "agent.num_agents=1",
    "model=replay_tiny",
    "draft=elsewhere",
)


def bash(command: str) -> ToolCall:
    return ToolCall(name="bash", arguments=json.dumps({"command": command}))


def record(path: Path, *commands: str) -> str:
    """Write a trajectory of these commands, each predicted rightly and wrongly, as a file and return its path."""
    turns = [
        RecordedTurn(
            user_turn=0,
            reasoning="\nNext.\n",
            content="\n\n",
            calls=(bash(command),),
            draft_samples=((bash(command),), (bash("rm -rf pagekit"),)),
        )
        for command in commands
    ]
    trajectory = RecordedTrajectory(task_id=TASK, turns=tuple(turns))
    write_trajectories(path, TrajectorySet(origin="built", description="by hand", trajectories=(trajectory,)))
    return str(path)


def cells_in(output: Path) -> list[RunFolder]:
    return [RunFolder(folder) for folder in sorted(output.glob("is_forking_*"))]


def test_a_recorded_trajectory_solves_its_task_in_every_arm_with_and_without_forks(run: Run, tmp_path: Path) -> None:
    file = record(tmp_path / "recorded.jsonl", FIX, f"echo {mini.MARKER}")
    assert run(*REPLAYED, f"workload.trajectories={file}") == 0
    without, with_forks = cells_in(tmp_path / "out")
    for cell in (without, with_forks):
        metrics = cell.read_json("metrics.json")
        assert [(each["num_solved"], each["num_graded"]) for each in metrics["runs"].values()] == [(1, 1)] * 4
        # Two prompts, what was generated for each, two observations, and the grade with the workspace's hash.
        assert metrics["num_identical"] == 7
        assert (cell.path / "trajectories-spec-1" / f"{TASK}.traj.json").exists()
        (prediction,) = (cell.path / "predictions-base-2.jsonl").read_text().splitlines()
        assert json.loads(prediction)["model_patch"].startswith("diff --git a/pagekit/paginator.py")
    refused = without.read_json("metrics.json")["runs"]["spec-1"]
    assert (refused["eligible_share"], refused["num_launched"]) == (0.0, 0)
    assert with_forks.read_json("metrics.json")["runs"]["spec-1"]["eligible_share"] == 1.0
    (recorded,) = read_trajectories(with_forks.path / "trajectories-base-1.jsonl").trajectories
    assert [turn.observations for turn in recorded.turns][1] is not None
    assert [call.arguments for turn in recorded.turns for call in turn.calls] == [
        bash(command).arguments for command in (FIX, f"echo {mini.MARKER}")
    ]


def test_a_recording_that_breaks_off_before_the_submission_is_named(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = record(tmp_path / "recorded.jsonl", "ls")
    assert run(*REPLAYED, f"workload.trajectories={file}") == 1
    assert f"{TASK} is recorded with 1 turns, and the agent asks for another" in capsys.readouterr().err
