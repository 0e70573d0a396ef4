"""Patterns from a trajectory file: the history it stands for, what is learned, and the command."""

import json
import sys
from pathlib import Path

import pytest

from agents.task import Task
from harness.replay import patterns
from harness.replay.patterns import learn, messages_of
from harness.replay.trajectories import (
    RecordedObservation,
    RecordedTrajectory,
    RecordedTurn,
    TrajectorySet,
    write_trajectories,
)
from precall.calls import ToolCall
from precall.drafts.pattern_memory import PatternMemory

FIND = ToolCall(name="find", arguments='{"q": "x"}')


def turn(user_turn: int, *calls: ToolCall, observations: tuple[str, ...] | None = None) -> RecordedTurn:
    found = (
        None if observations is None else tuple(RecordedObservation(content=o, duration_s=1.0) for o in observations)
    )
    return RecordedTurn(user_turn=user_turn, reasoning="hm", content="said", calls=calls, observations=found)


def trajectory(number: int) -> RecordedTrajectory:
    """Find, then open what was found; then the same once more for the next user turn."""
    opened = ToolCall(name="open", arguments=json.dumps({"id": number}))
    both = [
        each
        for user_turn in (0, 1)
        for each in (
            turn(user_turn, FIND, observations=(f'{{"id": {number}}}',)),
            turn(user_turn, opened, observations=("opened",)),
            turn(user_turn),
        )
    ]
    return RecordedTrajectory(task_id=f"t{number}", turns=tuple(both))


def test_a_recorded_trajectory_is_the_history_that_its_agent_had() -> None:
    task = Task(
        task_id="t7",
        user_turns=(({"role": "system", "content": "s"}, {"role": "user", "content": "u"}),),
        make_tools=lambda: (),
    )
    messages = messages_of(trajectory(7), task)
    assert [message["role"] for message in messages] == [
        *("system", "user", "assistant", "tool", "assistant", "tool", "assistant"),
        *("user", "assistant", "tool", "assistant", "tool", "assistant"),
    ]
    assert messages[3] == {"role": "tool", "tool_call_id": "call_0_0", "content": '{"id": 7}'}
    assert messages[7] == {"role": "user", "content": ""}  # the task has no such user turn


def test_each_trajectory_is_predicted_from_those_before_it() -> None:
    found = learn(PatternMemory(), [trajectory(number) for number in range(10)], {})
    # A context is known from three turns on: the steps of one trajectory come twice in it, so from the third on.
    assert found["num_confirmed"] == 40
    assert found["num_matched"] == found["num_predicted"] > 30
    assert found["call_acceptance_rate"] == found["num_matched"] / 40


def test_built_trajectories_have_no_observations_and_are_learned_from_all_the_same() -> None:
    built = [RecordedTrajectory(task_id=f"t{number}", turns=(turn(0, FIND), turn(0))) for number in range(6)]
    assert learn(PatternMemory(), built, {})["num_matched"] == 3


def test_the_command_writes_patterns_and_says_how_good_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "t.jsonl", tmp_path / "p.json"
    trajectories = tuple(trajectory(number) for number in range(10))
    write_trajectories(file, TrajectorySet(origin="recorded", description="", trajectories=trajectories))
    monkeypatch.setattr(sys, "argv", ["patterns", str(file), str(out)])
    patterns.main()
    said = json.loads(capsys.readouterr().out)
    assert said["num_trajectories"] == 10
    assert len(PatternMemory.load(out)) == said["num_contexts"]
