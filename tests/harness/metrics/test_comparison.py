"""Two arms side by side: time saved, prediction and sameness, each against a timeline that was computed by hand."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from harness.metrics.comparison import (
    Agreement,
    MeasurementError,
    agent_times_s,
    check_drafts_answered,
    check_identical,
    check_posts_taken,
    fingerprint,
    generations_s,
    mean_per_agent,
    predict_time_saved_pct,
    time_saved_pct,
    trajectory_times_s,
)
from precall.cost_model.turns import TurnTimes
from precall.events import Event, EventKind
from tests.harness.metrics.timelines import drafted, ended, event, generated, settled, started


def test_a_trajectory_takes_the_time_between_its_first_and_its_last_event() -> None:
    events = [started(1.0), started(2.0, task="b/1"), ended(4.5), ended(10.0, task="b/1")]
    assert trajectory_times_s(events) == {"a": 3.5, "b/1": 8.0}


def test_an_agents_time_is_the_sum_over_its_tasks() -> None:
    events = [started(0.0), ended(2.0), started(2.0, "b"), ended(5.0, "b"), started(0.0, "c"), ended(7.0, "c")]
    assert agent_times_s(events, [["a", "b"], ["c"]]) == [5.0, 7.0]


def test_time_saved_is_taken_per_agent_before_the_mean() -> None:
    # 50 % and -10 %; over the sums it would be 100 (12 - 12) / 12 = 0.
    assert time_saved_pct([2.0, 10.0], [1.0, 11.0]) == pytest.approx(20.0)


def test_time_saved_is_negative_where_speculation_costs_time() -> None:
    assert time_saved_pct([4.0], [5.0]) == -25.0


def test_the_runs_of_an_arm_are_averaged_per_agent() -> None:
    assert mean_per_agent([[1.0, 4.0], [3.0, 8.0]]) == [2.0, 6.0]


def test_generations_of_the_same_turn_are_averaged_over_runs() -> None:
    first = [generated(0.0, 1.0), generated(2.0, 5.0, turn=1), generated(0.0, 4.0, task="b")]
    second = [generated(0.0, 3.0), generated(2.0, 3.0, turn=1), generated(0.0, 6.0, task="b")]
    assert generations_s([first, second]) == {("a", 0): 2.0, ("a", 1): 2.0, ("b", 0): 5.0}


ANSWER = TurnTimes(G=2.0, g=0.5)
HIT = TurnTimes(G=2.0, g=0.5, tool_s=(4.0,), is_hit=(True,))
MISS = TurnTimes(G=2.0, g=0.5, tool_s=(4.0,), is_hit=(False,))


def test_the_prediction_counts_the_final_answer_on_which_nothing_is_saved() -> None:
    # Baseline 6 + 2 = 8, with speculation max(2, 0.5 + 4) + 2 = 6.5; without the answer it would be 25 %.
    assert predict_time_saved_pct([["a"]], {"a": [HIT, ANSWER]}) == pytest.approx(100.0 * 1.5 / 8.0)


def test_the_prediction_is_taken_per_agent_before_the_mean() -> None:
    turns = {"a": [HIT, ANSWER], "b": [MISS, ANSWER], "c": [ANSWER]}
    # Agent 1: 8 + 8 against 6.5 + 8; agent 2: nothing.
    assert predict_time_saved_pct([["a", "b"], ["c"]], turns) == pytest.approx(100.0 * 1.5 / 16.0 / 2.0)


def test_an_execution_that_is_ready_before_the_target_leaves_G_alone() -> None:
    short = replace(HIT, tool_s=(1.0,))
    assert predict_time_saved_pct([["a"]], {"a": [short]}) == pytest.approx(100.0 * 1.0 / 3.0)


def test_a_draft_slower_than_the_target_saves_nothing() -> None:
    assert predict_time_saved_pct([["a"]], {"a": [replace(HIT, g=2.5)]}) == 0.0


def test_the_loaded_prediction_takes_G_beside_speculation_for_the_speculative_arm_alone() -> None:
    turns, loaded = {"a": [MISS, ANSWER]}, {"a": [replace(MISS, G=3.0), replace(ANSWER, G=3.0)]}
    assert predict_time_saved_pct([["a"]], turns, loaded) == pytest.approx(-25.0)


def run_of(*observations: str, run: str = "base-1", prompt: str = "p") -> list[Event]:
    """A run of task a with a turn per observation, and of task b with an answer."""
    turns = [
        entry
        for turn, observation in enumerate(observations)
        for entry in (
            generated(0.0, 1.0, run=run, turn=turn, prompt_hash=f"{prompt}{turn}"),
            settled(2.0, run=run, turn=turn, observation_hash=observation),
        )
    ]
    return [*turns, generated(0.0, 1.0, task="b", run=run, num_calls=0)]


ABBA = ("base-1", "spec-1", "spec-2", "base-2")


def test_runs_that_agree_are_counted_by_prompts_generated_tokens_and_observations() -> None:
    runs = {name: run_of("x", "y", run=name) for name in ABBA}
    assert check_identical(runs) == Agreement(num_identical=3 + 3 + 2, num_prompts=6, num_equal_prompts=6)


@pytest.mark.parametrize("order", [ABBA, ("spec-1", "base-1", "base-2", "spec-2")])
def test_prompts_of_the_engine_side_may_differ_and_are_counted(order: Sequence[str]) -> None:
    runs = {name: run_of("x", "y", run=name, prompt="q" if name == "spec-1" else "p") for name in order}
    with pytest.raises(MeasurementError, match="Task a differs"):
        check_identical(runs)
    agreement = check_identical(runs, may_prompts_of_spec_differ=True)
    assert agreement == Agreement(num_identical=3 + 2, num_prompts=6, num_equal_prompts=4)


def test_prompts_of_the_baseline_may_never_differ() -> None:
    runs = {name: run_of("x", "y", run=name, prompt="q" if name == "base-2" else "p") for name in ABBA}
    with pytest.raises(MeasurementError, match="Task a differs between run base-1 and run base-2"):
        check_identical(runs, may_prompts_of_spec_differ=True)


@pytest.mark.parametrize("may_differ", [False, True])
def test_generated_tokens_that_differ_are_named(may_differ: bool) -> None:
    runs = {"base-1": [generated(0.0, 1.0)], "spec-1": [generated(0.0, 1.0, run="spec-1", output_hash="h")]}
    with pytest.raises(MeasurementError, match=r"Task a .* run spec-1: \('output', 0, 'g'\) against .*'h'"):
        check_identical(runs, may_prompts_of_spec_differ=may_differ)


def test_the_order_of_tasks_does_not_count_but_that_of_a_tasks_events_does() -> None:
    ours, theirs = run_of("x", "y"), run_of("x", "y", run="spec-1")
    assert fingerprint([*theirs[-1:], *theirs[:-1]]) == fingerprint(ours)
    swapped = [theirs[0], theirs[3], theirs[2], theirs[1], theirs[4]]
    with pytest.raises(MeasurementError, match="Task a differs"):
        check_identical({"base-1": ours, "spec-1": swapped})


def test_an_observation_that_differs_is_named_with_runs_task_and_turn() -> None:
    runs = {"base-1": run_of("x", "y"), "spec-1": run_of("x", "y", run="spec-1"), "spec-2": run_of("x", "z")}
    differing = r"Task a differs between run base-1 and run spec-2: \('observation', 1, 'f', 'y'\) against .*'z'"
    with pytest.raises(MeasurementError, match=differing):
        check_identical(runs)


def test_a_prompt_that_differs_is_named_with_its_turn() -> None:
    runs = {"base-1": run_of("x"), "spec-1": run_of("x", run="spec-1", prompt="q")}
    with pytest.raises(MeasurementError, match=r"Task a .* run spec-1: \('prompt', 0, 'p0'\) against .*'q0'"):
        check_identical(runs)


@pytest.mark.parametrize("shorter", ["base-1", "spec-1"])
def test_a_turn_that_only_one_run_has_is_named(shorter: str) -> None:
    runs = {name: run_of("x", *([] if name == shorter else ["y"]), run=name) for name in ("base-1", "spec-1")}
    with pytest.raises(MeasurementError, match=r"Task a .*\('prompt', 1, 'p1'\)"):
        check_identical(runs)


def test_a_task_that_one_run_does_not_have_is_named() -> None:
    with pytest.raises(MeasurementError, match="Task b differs between run base-1 and run spec-1"):
        check_identical({"base-1": run_of("x"), "spec-1": run_of("x", run="spec-1")[:-1]})


def test_prompts_that_nobody_knows_are_not_taken_for_the_same() -> None:
    unknown = [generated(0.0, 1.0, turn=3, prompt_hash=None)]
    with pytest.raises(MeasurementError, match="base-1/a, turn 3: the server returned no token ids of the prompt"):
        check_identical({"base-1": unknown, "spec-1": unknown})


def test_a_replayed_draft_that_failed_is_a_failed_measurement() -> None:
    check_drafts_answered([drafted(1.0, 1.5)])
    failed = event(EventKind.DRAFT_FAILED, 2.0, task="b", run="spec-1", turn=3, message="gone")
    with pytest.raises(MeasurementError, match="The draft failed in spec-1/b, turn 3: gone"):
        check_drafts_answered([drafted(1.0, 1.5), failed])


def test_an_engine_arm_whose_posts_all_failed_is_a_failed_measurement() -> None:
    posted = event(EventKind.OUTPUT_POSTED, 1.0, task="b", run="spec-1", turn=0)
    failed = event(EventKind.POST_FAILED, 2.0, task="b", run="spec-1", turn=0, status=404, message="no such route")
    check_posts_taken([])
    check_posts_taken([failed, posted])
    with pytest.raises(MeasurementError, match="None of 2 posts was taken; the first: status 404, no such route"):
        check_posts_taken([failed, failed])


def graded(run: str, is_solved: bool = True, workspace_hash: str = "abc") -> Event:
    data = {"is_solved": is_solved, "workspace_hash": workspace_hash, "duration_s": 1.0, "details": {}}
    return event(EventKind.TRAJECTORY_GRADED, 9.0, run=run, **data)


def test_final_workspaces_are_compared_and_one_that_differs_is_named() -> None:
    base = [generated(0.0, 1.0, num_calls=0), graded("base-1")]
    same = [generated(0.0, 3.0, num_calls=0, run="spec-1"), graded("spec-1")]
    assert check_identical({"base-1": base, "spec-1": same}).num_identical == 3
    other = [same[0], graded("spec-1", workspace_hash="def")]
    with pytest.raises(MeasurementError, match=r"Task a differs .*'abc'.* against .*'def'"):
        check_identical({"base-1": base, "spec-1": other})
