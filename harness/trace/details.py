"""What a span or a confirmed call of a timeline says beside its times: tokens, arguments, seconds saved and wasted."""

from collections.abc import Iterable, Sequence
from typing import Any

from harness.metrics.timeline import CONFIRMED, CUT_OFF, UNDIVIDED, Lane, Settlement, Span, Timeline
from precall.events import Event, EventKind
from precall.executions import Fate
from precall.ledger import saved_s

Details = dict[str, Any]
"""Words with their values, numbers as they are; the unit of a time is in its word."""

NUM_DIGITS = 6  # of a second: events are stamped to the nanosecond, and the loop is not that exact


def span_details(span: Span, of_trajectory: Sequence[Event]) -> Details:
    """Return what `span` says; `of_trajectory` are the events of its trajectory."""
    event = span.event
    if event is None:
        return {}
    match span.lane:
        case Lane.PREFILL | Lane.DECODE:
            return _generation(event, span)
        case Lane.DRAFT:
            return _draft(span, [each for each in of_trajectory if each.turn == event.turn])
        case _:
            return _confirmed(event, of_trajectory) if span.state == CONFIRMED else _execution(event)


def settlement_details(settlement: Settlement, of_trajectory: Sequence[Event]) -> Details:
    """Return what a confirmed call says; `of_trajectory` are the events of its trajectory."""
    return _confirmed(settlement.event, of_trajectory)


def execution_of(settlement: Settlement, timeline: Timeline) -> Span | None:
    """Return the execution whose observation a hit took: the one of its call that was used in its turn. None of a miss,
    and of what the engine found in an entry of an earlier turn."""
    if settlement.outcome == "miss":
        return None
    for span in timeline.spans:
        event = span.event
        if event is None or event.kind is not EventKind.EXECUTION_ENDED or span.state != Fate.USED:
            continue
        if (event.turn, *_call(event)) == (settlement.turn, *_call(settlement.event)):
            return span
    return None


def _generation(event: Event, span: Span) -> Details:
    data = event.data
    first_s = data["first_token_s"]
    return _known(
        {
            "tokens in": data["num_prompt_tokens"],
            "of them in the prefix cache": data.get("num_cached_prompt_tokens"),
            "tokens out": data["num_output_tokens"],
            "of them reasoning": data.get("num_reasoning_tokens"),
            "TTFT (s)": None if first_s is None else _round(first_s - data["sent_s"]),
            "E2EL (s)": _round(data["finished_s"] - data["sent_s"]),
            "tool calls": data["num_calls"],
            "finish reason": data.get("finish_reason"),
            "note": "the prefill is in it: no first token was seen" if span.state == UNDIVIDED else None,
        }
    )


def _draft(span: Span, of_turn: Iterable[Event]) -> Details:
    found: dict[EventKind, list[Event]] = {}
    for event in of_turn:
        found.setdefault(event.kind, []).append(event)
    answered = found.get(EventKind.DRAFT_ANSWERED, [])
    return _known(
        {
            "samples answered": len(answered),
            "tokens in": _sum(answered, "num_prompt_tokens"),
            "tokens out": _sum(answered, "num_output_tokens"),
            "predicted": [_call_text(event) for event in found.get(EventKind.CALL_PREDICTED, [])] or None,
            "refused": [
                f"{_call_text(event)}: {event.data['reason']}" for event in found.get(EventKind.EXECUTION_REFUSED, [])
            ]
            or None,
            "failed": [event.data["message"] for event in found.get(EventKind.DRAFT_FAILED, [])] or None,
            "note": "cut off: the target had spoken first" if span.state == CUT_OFF else None,
        }
    )


def _execution(event: Event) -> Details:
    data = event.data
    seconds = None if data["duration_s"] is None else _round(data["duration_s"])
    is_used = data["fate"] == Fate.USED
    return _known(
        {
            "tool": data["name"],
            "arguments": data["arguments"],
            "fate": data["fate"],
            "tool ran (s)": seconds if is_used else None,
            "wasted (s)": None if is_used else seconds or 0.0,
        }
    )


def _confirmed(event: Event, of_trajectory: Sequence[Event]) -> Details:
    data = event.data
    is_drafted = any(each.kind is EventKind.DRAFT_STARTED and each.turn == event.turn for each in of_trajectory)
    is_miss = data["outcome"] == "miss"
    saved = None if is_miss else saved_s(event)
    return _known(
        {
            "tool": data["name"],
            "arguments": data["arguments"],
            "outcome": data["outcome"].replace("_", " "),
            "waited (s)": _round(event.time_s - data["confirmed_s"]),
            "tool ran (s)": None if data["duration_s"] is None else _round(data["duration_s"]),
            "saved (s)": None if saved is None else _round(saved),
            "draft had predicted it": ("yes" if data["is_predicted"] else "no") if is_drafted else None,
            "policy lets it run ahead": "yes" if data["is_eligible"] else "no",
            "executed by": "the engine" if data["is_executed"] else None,
            "note": "the tool failed" if data.get("is_error") else None,
        }
    )


def _call(event: Event) -> tuple[str, str]:
    return event.data["name"], event.data["arguments"]


def _call_text(event: Event) -> str:
    return f"{event.data['name']}({event.data['arguments']})"


def _sum(events: Sequence[Event], name: str) -> int | None:
    counts = [event.data[name] for event in events]
    return None if not counts or None in counts else sum(counts)


def _round(seconds: float) -> float:
    return round(seconds, NUM_DIGITS)


def _known(details: Details) -> Details:
    return {name: value for name, value in details.items() if value is not None}
