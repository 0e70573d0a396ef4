"""SWE tasks from the first command to the grade: scripted targets, real commands, real tests, real forks."""

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agents import mini
from agents.function_calling import FunctionCallingAgent
from agents.swe import SweAgent, bash_agent
from agents.swe_tools import tools_agent
from agents.trajectory import Grade, Status, Trajectory
from harness.replay.recorder import record
from harness.replay.trajectories import read_trajectories, write_trajectories
from harness.workloads.swe_bench import write_predictions
from harness.workloads.swe_local import load_swe_local
from precall.calls import ToolCall
from precall.events import Event, EventKind, EventRecorder
from precall.executions import Outcome
from precall.policy import LaunchPolicy
from precall.speculation import ClientSpeculation, NoSpeculation
from precall.testing.scripted import ScriptedDraft, ScriptedGeneration, ScriptedSample, ScriptedTarget
from precall.tools import run_tool

pytestmark = pytest.mark.sandbox

TASK = "pagekit__pagekit-12"
SUBMIT = f"echo {mini.MARKER} && cat patch.txt"
FIX = "sed -i 's|return hits // self.per_page + 1|return -(-hits // self.per_page)|' pagekit/paginator.py"
# With -q twice, here and in the repository's own options, pytest does not say how long it took.
COMMANDS = ["grep -rn num_pages pagekit", FIX, "python -m pytest -q", "git diff -- pagekit > patch.txt", SUBMIT]


def call(name: str, **arguments: Any) -> ToolCall:
    return ToolCall(name=name, arguments=json.dumps(arguments))


def bash(command: str) -> ToolCall:
    return call("bash", command=command)


async def work(
    agent: SweAgent,
    calls: Sequence[ToolCall],
    predicted: Sequence[Sequence[ToolCall]] | None = None,
    max_turns: int = 20,
    answer: str | None = None,
) -> tuple[Trajectory, list[Event]]:
    """Have a scripted target work on TASK, a call a turn, then `answer`; `predicted` is what a draft says per turn."""
    (task,) = load_swe_local(agent, num_tasks=None, seed=0, task_ids=[TASK])
    events: list[Event] = []
    recorder = EventRecorder(f"spec-1/{TASK}", events.append)
    duration_s = 0.0 if predicted is None else 0.4  # forks and their commands are ready before it
    script = [[ScriptedGeneration(duration_s=duration_s, calls=(each,))] for each in calls]
    if answer is not None:
        script.append([ScriptedGeneration(duration_s=0.0, content=answer)])
    speculation = NoSpeculation()
    if predicted is not None:
        draft = ScriptedDraft(turns=[[ScriptedSample(delay_s=0.0, calls=tuple(each))] for each in predicted])
        speculation = ClientSpeculation(draft, LaunchPolicy(), run_tool, recorder)
    trajectory = await FunctionCallingAgent(max_turns).run(
        task, target=ScriptedTarget(script), speculation=speculation, executor=run_tool, recorder=recorder
    )
    return trajectory, events


def grade_of(trajectory: Trajectory) -> Grade:
    assert trajectory.grade is not None
    return trajectory.grade


async def test_the_bash_agent_solves_a_task_and_submits_its_patch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    trajectory, events = await work(bash_agent(), [bash(command) for command in COMMANDS])
    grade = grade_of(trajectory)
    assert (trajectory.status, grade.is_solved) == (Status.FINISHED, True)
    assert "[100%]" in trajectory.turns[2].observations[0].content
    assert grade.details["tests"]["FAIL_TO_PASS"]["failure"] == []
    patch = grade.details["model_patch"]
    assert patch.startswith("diff --git a/pagekit/paginator.py") and "+        return -(-hits" in patch
    (graded,) = [event for event in events if event.kind is EventKind.TRAJECTORY_GRADED]
    assert (graded.data["is_solved"], graded.data["workspace_hash"]) == (True, grade.workspace_hash)
    assert os.listdir(tmp_path) == [], "the workspace is gone"
    write_predictions(tmp_path / "p.jsonl", [trajectory], "m")
    assert json.loads((tmp_path / "p.jsonl").read_text()) == {
        "instance_id": TASK,
        "model_name_or_path": "m",
        "model_patch": patch,
    }


async def test_commands_that_ran_in_forks_leave_the_same_messages_and_the_same_workspace() -> None:
    calls = [bash(command) for command in COMMANDS]
    wrong = bash("rm -rf pagekit; echo spoilt > README.md")
    alone, _ = await work(bash_agent(), calls)
    beside, events = await work(bash_agent(), calls, [[wrong, each] for each in calls])
    assert beside.messages == alone.messages
    assert beside.grade == alone.grade
    outcomes = [event.data["outcome"] for event in events if event.kind is EventKind.CALL_SETTLED]
    assert Outcome.MISS not in outcomes
    commits = [event.data["has_changed"] for event in events if event.kind is EventKind.COMMIT_ENDED]
    assert commits.count(True) >= 3, "the fix, the tests' cache and the patch"


async def test_the_workspaces_hash_tells_a_change_that_was_not_made() -> None:
    whole, _ = await work(bash_agent(), [bash(command) for command in COMMANDS])
    without, _ = await work(bash_agent(), [bash(command) for command in COMMANDS if command != FIX])
    assert grade_of(whole).workspace_hash != grade_of(without).workspace_hash
    assert (grade_of(whole).is_solved, grade_of(without).is_solved) == (True, False)


async def test_the_agent_with_tools_solves_the_same_task_and_ends_with_an_answer() -> None:
    calls = [
        call("search", text="num_pages"),
        call("open", path="pagekit/paginator.py", start_line=60),
        call(
            "edit",
            path="pagekit/paginator.py",
            old="hits // self.per_page + 1",
            new="(hits + self.per_page - 1) // self.per_page",
        ),
        call("run_tests"),
    ]
    alone, _ = await work(tools_agent(), calls, answer="A full last page was followed by an empty one.")
    beside, events = await work(tools_agent(), calls, [[each] for each in calls], answer="Done.")
    assert (alone.status, grade_of(alone).is_solved) == (Status.FINISHED, True)
    assert grade_of(alone).details["model_patch"].startswith("diff --git a/")
    assert grade_of(beside) == grade_of(alone)
    assert Outcome.MISS not in [event.data["outcome"] for event in events if event.kind is EventKind.CALL_SETTLED]


async def test_tests_that_the_model_changed_do_not_count() -> None:
    cheat = [
        bash("rm tests/*.py; printf 'def test_it():\\n    pass\\n' > tests/test_exact_pages.py"),
        bash(f"echo {mini.MARKER}"),
    ]
    trajectory, _ = await work(bash_agent(), cheat)
    report = grade_of(trajectory).details["tests"]
    assert grade_of(trajectory).is_solved is False
    assert len(report["FAIL_TO_PASS"]["failure"]) == 6
    assert report["PASS_TO_PASS"]["failure"], "test_paginator.py is gone: the test patch does not bring it back"


async def test_a_workspace_that_is_in_ruins_is_graded_as_not_solved() -> None:
    trajectory, _ = await work(bash_agent(), [bash("rm -rf .git *"), bash(f"echo {mini.MARKER}")])
    assert grade_of(trajectory).is_solved is False
    assert grade_of(trajectory).details["model_patch"] == ""


async def test_what_is_there_at_the_limit_of_turns_is_graded() -> None:
    trajectory, _ = await work(bash_agent(), [bash(FIX), bash("ls")], max_turns=2)
    assert (trajectory.status, grade_of(trajectory).is_solved) == (Status.TURN_LIMIT, True)


async def test_a_recorded_trajectory_ends_with_the_call_that_submits(tmp_path: Path) -> None:
    trajectory, events = await work(bash_agent(), [bash(f"echo {mini.MARKER}")])
    write_trajectories(tmp_path / "t.jsonl", record([trajectory], events, "a test"))
    (recorded,) = read_trajectories(tmp_path / "t.jsonl").trajectories
    assert [call.name for call in recorded.turns[-1].calls] == ["bash"]
    assert recorded.turns[-1].observations is not None
    assert recorded.turns[-1].observations[0].content == f"{mini.MARKER}\n"
