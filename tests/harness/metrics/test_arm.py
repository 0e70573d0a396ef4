"""The metrics of one run, each against a timeline that was computed by hand."""

from typing import Any

import pytest

from harness.backends.metrics_endpoint import CONTEXT_TOKENS, DECODE_STEPS, GENERATION_TOKENS_SCHEDULED, STEPS
from harness.metrics.arm import GenerationTimes, arm_metrics, generation_times
from precall.events import Event, EventKind
from tests.harness.metrics.timelines import (
    asked,
    drafted,
    ended,
    event,
    execution_ended,
    generated,
    launched,
    settled,
    started,
)


def metrics_of(events: list[Event], **given: Any) -> dict[str, Any]:
    return arm_metrics(events, **({"wall_s": 10.0, "counters": {}, "cpu_s": None} | given))


def test_G_is_the_mean_of_the_generations_that_end_in_a_call_and_answers_stand_apart() -> None:
    times = generation_times(
        [
            generated(0.0, 2.0),
            generated(3.0, 7.0, turn=1, num_calls=2),
            generated(8.0, 8.5, turn=2, num_calls=0),
            generated(1.0, 4.0, task="b", num_calls=0),
        ]
    )
    assert times == GenerationTimes(call_s=3.0, answer_s=1.75, ttft_s=None, tpot_s=None)


def test_ttft_is_from_request_to_first_token() -> None:
    events = [generated(1.0, 5.0, first_token_s=1.5), generated(6.0, 9.0, first_token_s=7.5)]
    assert generation_times(events).ttft_s == 1.0


def test_tpot_shares_the_time_after_the_first_token_among_the_others() -> None:
    # (4.0 - 0.4) / 9 = 0.4 and (2.0 - 1.0) / 5 = 0.2
    events = [
        generated(1.0, 5.0, first_token_s=1.4, num_output_tokens=10),
        generated(6.0, 8.0, first_token_s=7.0, num_output_tokens=6),
    ]
    assert generation_times(events).tpot_s == pytest.approx(0.3)


@pytest.mark.parametrize("num_output_tokens", [None, 0, 1])
def test_below_two_tokens_there_is_no_tpot(num_output_tokens: int | None) -> None:
    times = generation_times([generated(0.0, 2.0, first_token_s=1.0, num_output_tokens=num_output_tokens)])
    assert times.tpot_s is None
    assert times.ttft_s == 1.0


def test_a_run_without_a_generation_has_no_times() -> None:
    assert generation_times([started(0.0), ended(1.0)]) == GenerationTimes(
        call_s=None, answer_s=None, ttft_s=None, tpot_s=None
    )


def test_throughput_is_all_generated_tokens_over_the_wall_time_of_the_run() -> None:
    events = [
        started(0.0),
        generated(0.0, 4.0, num_output_tokens=30),
        ended(5.0),
        started(0.0, task="b"),
        generated(0.0, 8.0, task="b", num_output_tokens=50),
        ended(8.0, task="b"),
    ]
    metrics = metrics_of(events, wall_s=16.0)
    assert metrics["num_output_tokens"] == 80
    assert metrics["throughput_tok_per_s"] == 5.0
    assert (metrics["num_trajectories"], metrics["num_turns"]) == (2, 2)


def test_where_one_generation_was_not_counted_there_is_no_throughput() -> None:
    metrics = metrics_of([generated(0.0, 1.0), generated(2.0, 3.0, turn=1, num_output_tokens=None)])
    assert metrics["num_output_tokens"] is None
    assert metrics["throughput_tok_per_s"] is None


def test_the_drafts_time_is_from_request_to_complete_sample() -> None:
    metrics = metrics_of([drafted(1.0, 1.5), drafted(2.0, 3.5, turn=1)])
    assert metrics["draft_s"] == 1.0


def test_a_tools_time_is_its_own_and_one_that_did_not_run_has_none() -> None:
    events = [settled(4.0, duration_s=1.0), settled(5.0, duration_s=2.0), settled(6.0, duration_s=None)]
    assert metrics_of(events)["tool_s"] == 1.5


def test_a_baseline_has_no_draft_and_no_tool_time_rather_than_zero() -> None:
    metrics = metrics_of([generated(0.0, 1.0, num_calls=1), settled(1.0, duration_s=None)])
    assert (metrics["draft_s"], metrics["tool_s"], metrics["call_acceptance_rate"]) == (None, None, None)
    assert (metrics["engine_steps"], metrics["scheduled_tokens"], metrics["cpu_s"]) == (None, None, None)


def test_the_ledger_counts_hits_misses_and_fates() -> None:
    events = [
        asked(0.0),
        *(launched(float(time_s)) for time_s in range(5)),
        execution_ended(5.0, "used", 1.0),
        execution_ended(5.0, "used", 1.0),
        execution_ended(6.0, "wasted", 1.5),
        execution_ended(6.0, "cancelled", 0.5),
        execution_ended(6.0, "failed", 0.25),
        settled(5.0, outcome="ready_hit", is_predicted=True),
        settled(5.0, outcome="pending_hit", is_predicted=True),
        settled(6.0, outcome="miss", is_predicted=True, is_eligible=False),
        settled(7.0, outcome="miss", is_predicted=False),
    ]
    metrics = metrics_of(events)
    assert metrics["call_acceptance_rate"] == 0.75
    assert metrics["eligible_share"] == 0.75
    counted = {name: metrics[f"num_{name}"] for name in ("ready_hits", "pending_hits", "misses", "confirmed")}
    assert counted == {"ready_hits": 1, "pending_hits": 1, "misses": 2, "confirmed": 4}
    fates = {name: metrics[f"num_{name}"] for name in ("launched", "used", "wasted", "cancelled", "failed")}
    assert fates == {"launched": 5, "used": 2, "wasted": 1, "cancelled": 1, "failed": 1}
    assert metrics["wasted_tool_s"] == 2.25


def test_without_a_draft_there_is_no_acceptance_rate_but_an_eligible_share() -> None:
    events = [settled(5.0), settled(6.0, is_eligible=False)]
    assert (metrics_of(events)["call_acceptance_rate"], metrics_of(events)["num_matched"]) == (None, None)
    assert metrics_of(events)["eligible_share"] == 0.5
    # A draft that was asked and had no call right is another matter.
    assert metrics_of([asked(0.0), *events])["call_acceptance_rate"] == 0.0


def test_scheduled_tokens_are_those_of_context_and_generation_together() -> None:
    counters = {STEPS: 40.0, DECODE_STEPS: 38.0, CONTEXT_TOKENS: 800.0, GENERATION_TOKENS_SCHEDULED: 100.0}
    metrics = metrics_of([], counters=counters, cpu_s=3.5)
    assert (metrics["engine_steps"], metrics["decode_steps"]) == (40.0, 38.0)
    assert (metrics["scheduled_tokens"], metrics["cpu_s"]) == (900.0, 3.5)


@pytest.mark.parametrize("name", [CONTEXT_TOKENS, GENERATION_TOKENS_SCHEDULED])
def test_half_of_the_scheduled_tokens_is_no_measurement_of_them(name: str) -> None:
    assert metrics_of([], counters={name: 800.0})["scheduled_tokens"] is None


def test_solved_trajectories_are_counted_and_unknown_where_nobody_judges() -> None:
    grades = [
        event(EventKind.TRAJECTORY_GRADED, 5.0, task=task, is_solved=is_solved, workspace_hash=None, duration_s=1.0)
        for task, is_solved in (("a", True), ("b", False), ("c", True))
    ]
    metrics = arm_metrics(grades, wall_s=1.0, counters={}, cpu_s=None)
    assert (metrics["num_graded"], metrics["num_solved"]) == (3, 2)
    metrics = arm_metrics([], wall_s=1.0, counters={}, cpu_s=None)
    assert (metrics["num_graded"], metrics["num_solved"]) == (0, None)
