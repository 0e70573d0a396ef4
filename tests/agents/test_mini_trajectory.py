"""Trajectories in mini-swe-agent's form, opened with mini-swe-agent's own inspector."""

import json
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Static

from agents import mini
from agents.mini_trajectory import to_mini, write_mini_trajectory
from agents.trajectory import Grade, Status
from tests.agents.trajectories import ended

PATCH = "diff --git a/x b/x\n"


def called(command: str, call_id: str, reasoning: str = "") -> dict[str, Any]:
    function = {"name": "bash", "arguments": json.dumps({"command": command})}
    message = {"role": "assistant", "content": None, "tool_calls": [{"id": call_id, "function": function}]}
    return message | ({"reasoning": reasoning} if reasoning else {})


MESSAGES = (
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "Fix it."},
    called("ls -la", "a", reasoning="First I look around."),
    {"role": "tool", "tool_call_id": "a", "content": mini.observation(0, "x\n")},
    called("git diff", "b"),
    {"role": "tool", "tool_call_id": "b", "content": f"{mini.MARKER}\n{PATCH}"},
)


def test_a_submission_is_the_exit_and_no_observation() -> None:
    written = to_mini(ended("t", messages=MESSAGES), "m")
    assert [message["role"] for message in written["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
        "exit",
    ]
    assert written["messages"][-1] == {
        "role": "exit",
        "content": PATCH,
        "extra": {"exit_status": "Submitted", "submission": PATCH},
    }
    assert (written["info"]["exit_status"], written["info"]["submission"]) == ("Submitted", PATCH)
    assert written["trajectory_format"] == "mini-swe-agent-1.1"
    assert written["messages"][2]["extra"] == {"actions": [{"command": "ls -la", "tool_call_id": "a"}]}


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (Status.TURN_LIMIT, "LimitsExceeded"),
        (Status.FORMAT_ERRORS, "RepeatedFormatError"),
        (Status.FAILED, "BackendError"),
    ],
)
def test_other_ends_have_mini_swe_agents_names_and_the_patch_of_the_judge(status: Status, name: str) -> None:
    grade = Grade(is_solved=False, details={"model_patch": "diff --git a/y b/y\n"})
    written = to_mini(ended("t", status=status, messages=MESSAGES[:4], grade=grade), "m")
    assert written["info"]["exit_status"] == name
    assert written["info"]["submission"] == "diff --git a/y b/y\n"
    assert written["messages"][-2]["role"] == "tool"


async def test_the_inspector_of_mini_swe_agent_opens_and_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MSWEA_GLOBAL_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("MSWEA_SILENT_STARTUP", "1")
    from minisweagent.run.utilities.inspector import TrajectoryInspector

    inspector = TrajectoryInspector([write_mini_trajectory(tmp_path, ended("t", messages=MESSAGES), "m")])
    assert inspector.n_steps == 3

    def shown() -> str:
        return "\n".join(str(widget.render()) for widget in inspector.query(Static))

    async with inspector.run_test(size=(120, 60)) as pilot:
        await pilot.pause()
        assert "Fix it." in shown()
        await pilot.press("right")
        await pilot.pause()
        assert inspector.title == "Trajectory 1/1 - t.traj.json - Step 2/3"
        assert all(text in shown() for text in ("ls -la", "First I look around.", "<returncode>0</returncode>"))
        await pilot.press("right")
        await pilot.pause()
        assert "EXIT" in shown() and PATCH.strip() in shown()
