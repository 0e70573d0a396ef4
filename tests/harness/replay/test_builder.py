"""The builder: reproducible trajectories, the asked share of right samples, wrong ones that are really wrong."""

import json
from dataclasses import replace
from math import sqrt
from statistics import fmean, stdev
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agents.task import Task
from harness.replay.builder import Modelled, build_trajectories
from harness.replay.trajectories import RecordedTrajectory, TrajectorySet
from harness.workloads.bfcl import CATEGORIES, load_bfcl
from precall.calls import ToolCall, canonical_key
from precall.errors import ConfigError
from precall.tools import Effect, Tool

MODELLED = Modelled(reasoning_words_mean=100.0, reasoning_words_std=40.0, answer_words=25, hit_rate=0.5, num_samples=1)


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    """Every usable task of every category."""
    return load_bfcl(CATEGORIES, num_tasks=None, seed=0)


def build(tasks: list[Task], seed: int = 0, **changes: Any) -> TrajectorySet:
    return build_trajectories(tasks, replace(MODELLED, **changes), seed)


def matches(task: Task, trajectory: RecordedTrajectory) -> list[bool]:
    """Whether each sample says what the target does: the same calls by the library's equality."""
    tools = {tool.name: tool for tool in task.make_tools()}

    def keys(calls: tuple[ToolCall, ...]) -> list[object]:
        return [canonical_key(call, tools[call.name].parameters) for call in calls]

    return [keys(sample) == keys(turn.calls) for turn in trajectory.turns for sample in turn.draft_samples]


def realised(tasks: list[Task], built: TrajectorySet) -> list[bool]:
    pairs = zip(tasks, built.trajectories, strict=True)
    return [is_match for task, trajectory in pairs for is_match in matches(task, trajectory)]


def test_the_same_seed_builds_the_same_trajectories(tasks: list[Task]) -> None:
    assert build(tasks[:50]) == build(tasks[:50])


def test_another_seed_builds_others(tasks: list[Task]) -> None:
    pairs = zip(build(tasks[:50]).trajectories, build(tasks[:50], seed=1).trajectories, strict=True)
    assert not any(ours == theirs for ours, theirs in pairs)


def test_more_samples_change_nothing_but_the_samples(tasks: list[Task]) -> None:
    one, five = build(tasks[:20]), build(tasks[:20], num_samples=5)
    for alone, others in zip(one.trajectories, five.trajectories, strict=True):
        assert {len(turn.draft_samples) for turn in others.turns} == {5}
        first = [replace(turn, draft_samples=turn.draft_samples[:1]) for turn in others.turns]
        assert list(alone.turns) == first


def test_the_trajectory_of_a_task_does_not_depend_on_the_other_tasks(tasks: list[Task]) -> None:
    together = {trajectory.task_id: trajectory for trajectory in build(tasks[:20]).trajectories}
    for task in reversed(tasks[:20]):
        assert build([task]).trajectories == (together[task.task_id],)


def test_each_reference_call_is_a_turn_and_an_answer_without_a_call_ends_each_user_turn(tasks: list[Task]) -> None:
    for task, trajectory in zip(tasks, build(tasks).trajectories, strict=True):
        calls = [[] for _ in task.reference_calls]
        for turn in trajectory.turns:
            calls[turn.user_turn].append(turn.calls)
        assert calls == [[*((call,) for call in expected), ()] for expected in task.reference_calls]
        assert all(turn.content.strip() for turn in trajectory.turns if not turn.calls)


def test_a_draft_that_is_never_right_is_never_equal_to_the_target(tasks: list[Task]) -> None:
    assert not any(realised(tasks, build(tasks, hit_rate=0.0, num_samples=3)))


def test_a_draft_that_is_always_right_is_always_equal_to_the_target(tasks: list[Task]) -> None:
    assert all(realised(tasks, build(tasks, hit_rate=1.0, num_samples=2)))


def test_a_draft_that_is_right_half_the_time_matches_half_of_the_calls(tasks: list[Task]) -> None:
    hits = realised(tasks, build(tasks))
    assert fmean(hits) == pytest.approx(0.5, abs=4 * 0.5 / sqrt(len(hits)))


def test_wrong_samples_are_wrong_in_every_way(tasks: list[Task]) -> None:
    built = build(tasks, hit_rate=0.0)
    turns = [turn for trajectory in built.trajectories for turn in trajectory.turns]
    samples = [(turn.calls[0], turn.draft_samples[0]) for turn in turns if turn.calls]
    kinds = {"no call" if not calls else calls[0].name == call.name for call, calls in samples}
    assert kinds == {"no call", True, False}
    assert all(turn.draft_samples[0] for turn in turns if not turn.calls), (
        "an erring draft calls where there is no call"
    )


def test_every_sample_of_a_turn_is_drawn_on_its_own(tasks: list[Task]) -> None:
    built = build(tasks, num_samples=2)
    pairs = [turn.draft_samples for trajectory in built.trajectories for turn in trajectory.turns if turn.calls]
    assert 0.5 < fmean(first != second for first, second in pairs) < 0.9  # independent and 0.5 right: 0.75 less ties


def test_reasoning_lengths_have_the_asked_mean_and_deviation(tasks: list[Task]) -> None:
    built = build(tasks)
    words = [len(turn.reasoning.split()) for trajectory in built.trajectories for turn in trajectory.turns]
    assert fmean(words) == pytest.approx(100.0, rel=0.03)
    assert stdev(words) == pytest.approx(40.0, rel=0.06)


def test_a_mean_of_no_words_leaves_the_reasoning_out(tasks: list[Task]) -> None:
    built = build(tasks[:20], reasoning_words_mean=0.0)
    assert {turn.reasoning for trajectory in built.trajectories for turn in trajectory.turns} == {""}


NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["other", "a"]), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None)
@example(arguments={"x": 1e20}, seed=0)
@example(arguments={"x": {"other": 1}}, seed=0)
@example(arguments={"x": {"other": True}}, seed=0)
@example(arguments={"x": 1.7e308}, seed=0)
@given(arguments=st.dictionaries(st.sampled_from("xyz"), VALUES, max_size=3), seed=st.integers(0, 9))
def test_a_wrong_sample_is_wrong_whatever_the_arguments(arguments: dict[str, Any], seed: int) -> None:
    call = ToolCall(name="f", arguments=json.dumps(arguments))
    schema = {"type": "object", "properties": {name: {"type": "number"} for name in "xyz"}}
    tool = Tool(name="f", description="", parameters=schema, function=print, effect=Effect.PURE)
    task = Task(task_id="t", user_turns=(), make_tools=lambda: (tool,), reference_calls=((call,),))
    built = build([task], seed=seed, hit_rate=0.0, num_samples=20)
    assert not any(matches(task, built.trajectories[0]))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"hit_rate": 1.5}, r"workload\.hit_rate is 1\.5; it must be in \[0, 1\]"),
        ({"hit_rate": float("nan")}, r"workload\.hit_rate is nan; it must be in \[0, 1\]"),
        ({"reasoning_words_mean": -1.0}, r"reasoning_words has mean -1\.0"),
        ({"reasoning_words_std": -2.0}, r"standard deviation -2\.0; both must be 0 or more"),
        ({"answer_words": 0}, r"workload\.answer_words is 0; it must be at least 1"),
        ({"num_samples": 0}, r"draft\.num_samples is 0; it must be at least 1"),
    ],
)
def test_a_model_outside_its_rule_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        replace(MODELLED, **changes)
