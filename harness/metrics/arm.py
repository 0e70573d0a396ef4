"""Metrics of one arm's run, derived from its events and from what the server counted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from harness.backends.metrics_endpoint import CONTEXT_TOKENS, DECODE_STEPS, GENERATION_TOKENS_SCHEDULED, STEPS
from precall.events import Event, EventKind
from precall.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationTimes:
    """The target's generations in a run: G (E2EL of those that end in a call), the same of final answers, TTFT and
    TPOT; means in seconds, None where there was none."""

    call_s: float | None
    answer_s: float | None
    ttft_s: float | None
    tpot_s: float | None


def generation_times(events: Iterable[Event]) -> GenerationTimes:
    call_s, answer_s, ttft_s, tpot_s = [], [], [], []
    for event in events:
        if event.kind is not EventKind.GENERATION_FINISHED:
            continue
        data = event.data
        (call_s if data["num_calls"] else answer_s).append(generation_s(event))
        if data["first_token_s"] is not None:
            ttft_s.append(data["first_token_s"] - data["sent_s"])
            num_tokens = data["num_output_tokens"]
            if num_tokens is not None and num_tokens >= 2:
                tpot_s.append((generation_s(event) - ttft_s[-1]) / (num_tokens - 1))
    return GenerationTimes(call_s=mean(call_s), answer_s=mean(answer_s), ttft_s=mean(ttft_s), tpot_s=mean(tpot_s))


def generation_s(event: Event) -> float:
    """Return the E2EL of a GENERATION_FINISHED event, in seconds."""
    return event.data["finished_s"] - event.data["sent_s"]


def mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def arm_metrics(
    events: Sequence[Event], *, wall_s: float, counters: dict[str, float], cpu_s: float | None
) -> dict[str, Any]:
    """Return the metrics of one run as plain data. Throughput is generated tokens over `wall_s`, for the whole
    server. Steps and scheduled tokens are the scheduler's own, None where the server does not count them."""
    generations = [event for event in events if event.kind is EventKind.GENERATION_FINISHED]
    counts = [event.data["num_output_tokens"] for event in generations]
    num_output_tokens = None if None in counts else sum(counts)
    ledger = Ledger.from_events(events)
    judged = [event.data["is_solved"] for event in events if event.kind is EventKind.TRAJECTORY_GRADED]
    grades = [is_solved for is_solved in judged if is_solved is not None]
    has_draft = any(event.kind is EventKind.DRAFT_STARTED for event in events)
    times = generation_times(events)
    draft_s = [e.time_s - e.data["sent_s"] for e in events if e.kind is EventKind.DRAFT_ANSWERED]
    tool_s = [
        e.data["duration_s"] for e in events if e.kind is EventKind.CALL_SETTLED and e.data["duration_s"] is not None
    ]
    return {
        "wall_s": wall_s,
        "num_trajectories": sum(event.kind is EventKind.TRAJECTORY_FINISHED for event in events),
        "num_graded": len(grades),
        "num_solved": sum(grades) if grades else None,
        "num_turns": len(generations),
        "num_output_tokens": num_output_tokens,
        "throughput_tok_per_s": None if num_output_tokens is None else num_output_tokens / wall_s,
        "generation_s": times.call_s,
        "answer_s": times.answer_s,
        "ttft_s": times.ttft_s,
        "tpot_s": times.tpot_s,
        "draft_s": mean(draft_s),
        "tool_s": mean(tool_s),
        "call_acceptance_rate": ledger.call_acceptance_rate if has_draft else None,
        "eligible_share": ledger.eligible_share,
        "num_confirmed": ledger.num_confirmed,
        "num_matched": ledger.num_matched if has_draft else None,
        "num_ready_hits": ledger.num_ready_hits,
        "num_pending_hits": ledger.num_pending_hits,
        "num_misses": ledger.num_misses,
        "num_launched": ledger.num_launched,
        "num_used": ledger.num_used,
        "num_wasted": ledger.num_wasted,
        "num_cancelled": ledger.num_cancelled,
        "num_failed": ledger.num_failed,
        "num_refused": ledger.num_refused,
        "num_refused_by_reason": dict(ledger.num_refused_by_reason),
        "num_executed": ledger.num_executed,
        "num_failed_posts": sum(event.kind is EventKind.POST_FAILED for event in events),
        "saved_tool_s": ledger.saved_tool_s,
        "wasted_tool_s": ledger.wasted_tool_s,
        "fired_share": ledger.fired_share,
        "drafted_share": ledger.drafted_share,
        "drafting_s": ledger.drafting_s,
        "num_cut_off_drafts": ledger.num_cut_off_drafts,
        "num_draft_prompt_tokens": ledger.num_draft_prompt_tokens,
        "num_draft_output_tokens": ledger.num_draft_output_tokens,
        "engine_steps": counters.get(STEPS),
        "decode_steps": counters.get(DECODE_STEPS),
        "scheduled_tokens": _scheduled_tokens(counters),
        "cpu_s": cpu_s,
    }


def _scheduled_tokens(counters: dict[str, float]) -> float | None:
    if CONTEXT_TOKENS not in counters or GENERATION_TOKENS_SCHEDULED not in counters:
        return None
    return counters[CONTEXT_TOKENS] + counters[GENERATION_TOKENS_SCHEDULED]
