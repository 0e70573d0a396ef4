"""The trajectory format: what is written comes back, and a file that is not in the format is named with its line."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.replay.trajectories import (
    RecordedObservation,
    RecordedTrajectory,
    RecordedTurn,
    TrajectorySet,
    read_trajectories,
    write_trajectories,
)
from precall.calls import ToolCall
from precall.errors import ConfigError

TEXTS = st.text(st.characters(), max_size=20)  # all of Unicode, half surrogate pairs included
CALLS = st.builds(ToolCall, name=TEXTS, arguments=TEXTS)
SAMPLES = st.lists(st.lists(CALLS, max_size=2).map(tuple), max_size=2).map(tuple)
DURATIONS = st.none() | st.floats(min_value=0, allow_infinity=False)


@st.composite
def turns(draw: st.DrawFn, user_turn: int, num_calls: int) -> RecordedTurn:
    observation = st.builds(RecordedObservation, content=TEXTS, duration_s=DURATIONS)
    observations = st.lists(observation, min_size=num_calls, max_size=num_calls).map(tuple)
    return RecordedTurn(
        user_turn=user_turn,
        reasoning=draw(TEXTS),
        content=draw(TEXTS),
        calls=tuple(draw(CALLS) for _ in range(num_calls)),
        draft_samples=draw(SAMPLES),
        observations=draw(st.none() | observations),
    )


@st.composite
def trajectories(draw: st.DrawFn, task_id: str) -> RecordedTrajectory:
    num_calls = draw(st.lists(st.lists(st.integers(1, 2), max_size=2), min_size=1, max_size=2))
    drawn = [draw(turns(user_turn, num)) for user_turn, nums in enumerate(num_calls) for num in (*nums, 0)]
    return RecordedTrajectory(task_id=task_id, turns=tuple(drawn))


@st.composite
def trajectory_sets(draw: st.DrawFn) -> TrajectorySet:
    task_ids = draw(st.lists(TEXTS, unique=True, max_size=3))
    return TrajectorySet(
        origin=draw(TEXTS),
        description=draw(TEXTS),
        trajectories=tuple(draw(trajectories(task_id)) for task_id in task_ids),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=trajectory_sets())
def test_what_is_written_is_read_back(written: TrajectorySet, tmp_path: Path) -> None:
    path = tmp_path / "trajectories.jsonl"
    write_trajectories(path, written)
    assert read_trajectories(path) == written
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


HEADER = {"format": "precall-trajectories", "version": 1, "origin": "recorded", "description": ""}
ANSWER = {"user_turn": 0, "reasoning": "", "content": "done", "calls": [], "draft_samples": []}
CALL = {"name": "f", "arguments": "{}"}
TURN = {**ANSWER, "content": "", "calls": [CALL]}
GOOD = {"task_id": "a", "turns": [TURN, ANSWER]}


def write_lines(folder: Path, *lines: Any) -> Path:
    path = folder / "t.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def changed(**fields: Any) -> dict[str, Any]:
    return {"task_id": "a", "turns": [{**TURN, **fields}, ANSWER]}


def test_a_line_break_of_unicode_inside_a_text_ends_no_line(tmp_path: Path) -> None:
    path = write_lines(tmp_path, HEADER, json.dumps(changed(content="a\u2028b\x85c"), ensure_ascii=False))
    assert read_trajectories(path).trajectories[0].turns[0].content == "a\u2028b\x85c"


def test_line_breaks_of_windows_are_read(tmp_path: Path) -> None:
    path = write_lines(tmp_path, HEADER, GOOD)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_trajectories(path).trajectories[0].task_id == "a"


def test_a_turn_without_observations_has_none_rather_than_no_observation(tmp_path: Path) -> None:
    answer, turn = {**ANSWER, "observations": []}, {**TURN, "observations": [{"content": "x", "duration_s": None}]}
    path = write_lines(tmp_path, HEADER, GOOD, {"task_id": "b", "turns": [turn, answer]})
    without, with_them = read_trajectories(path).trajectories
    assert [turn.observations for turn in without.turns] == [None, None]
    assert [turn.observations for turn in with_them.turns] == [(RecordedObservation(content="x", duration_s=None),), ()]


def test_a_trajectory_may_end_with_the_call_that_submits_and_go_on_after_a_turn_without_calls(tmp_path: Path) -> None:
    path = write_lines(tmp_path, HEADER, {"task_id": "a", "turns": [ANSWER, TURN, TURN]})
    assert [len(turn.calls) for turn in read_trajectories(path).trajectories[0].turns] == [0, 1, 1]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('{"task_id": "b", "tu', "this line is not JSON"),
        ("", "this line is not JSON"),
        ([1], "this line is a JSON list; it must be an object"),
        ({"turns": [ANSWER]}, "the field 'task_id' is missing"),
        ({"task_id": 7, "turns": [ANSWER]}, "task_id is 7; it must be a string"),
        (changed(calls=[{"name": "f"}]), "the field 'arguments' is missing"),
        (changed(calls=[{"name": "f", "arguments": {}}]), r"arguments is \{\}; it must be a string"),
        (changed(observations=[]), "a turn has 1 calls and 0 observations"),
        (changed(user_turn=1), "must begin with a turn of user turn 0"),
        ({"task_id": "b", "turns": []}, "must begin with a turn of user turn 0"),
        (
            {"task_id": "b", "turns": [TURN, {**ANSWER, "user_turn": 2}]},
            "user turn 2; after the turn before it must be 0 or 1",
        ),
        (
            {"task_id": "b", "turns": [ANSWER, {**ANSWER, "user_turn": 1}, ANSWER]},
            "user turn 0; after the turn before it must be 1 or 2",
        ),
    ],
)
def test_a_line_that_is_not_in_the_format_is_named(line: Any, text: str, tmp_path: Path) -> None:
    path = write_lines(tmp_path, HEADER, {**GOOD, "task_id": "first"}, line)
    with pytest.raises(ConfigError, match=rf"t\.jsonl:3: .*{text}"):
        read_trajectories(path)


def test_a_task_that_is_there_twice_is_named_with_both_lines(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"t\.jsonl:4: task a is on line 2 already"):
        read_trajectories(write_lines(tmp_path, HEADER, GOOD, {**GOOD, "task_id": "b"}, GOOD))


@pytest.mark.parametrize("change", [{"version": 2}, {"format": "other"}, {"version": None}])
def test_another_version_or_format_is_refused_with_what_was_found(change: dict[str, Any], tmp_path: Path) -> None:
    (found,) = change.values()
    with pytest.raises(ConfigError, match=rf"t\.jsonl:1: the header says .*{found}.*knows 'precall-trajectories'"):
        read_trajectories(write_lines(tmp_path, HEADER | change, GOOD))


def test_an_empty_file_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"t\.jsonl:1: the file is empty"):
        read_trajectories(write_lines(tmp_path))
    with pytest.raises(ConfigError, match=r"none\.jsonl cannot be read"):
        read_trajectories(tmp_path / "none.jsonl")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"t\.jsonl cannot be read"):
        read_trajectories(tmp_path / "t.jsonl")
