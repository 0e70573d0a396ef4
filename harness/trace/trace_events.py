"""Runs as a trace in Chrome's Trace Event Format, for ui.perfetto.dev and chrome://tracing.

A process is one run of an arm (base-1, spec-1, ...), in the order in which they ran. A trajectory has up to four
threads, and more where executions or calls overlap, since slices of a thread must not: `target` (prefill, decode and
what the client adds), `draft`, `executions` (predicted calls that were launched) and `calls` (confirmed calls, from
their confirmation to their observation). An arrow leads from an execution to the hit that took its observation.

Format: "Trace Event Format", Google, 2016; https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.metrics.timeline import CONFIRMED, Lane, Settlement, Span, Timeline, rows_of, timelines_of
from harness.trace.details import execution_of, settlement_details, span_details
from precall.events import Event

MIN_CALL_S = 1e-6
"""A call that did not wait lasts this long, so that an arrow finds it."""

TraceEvent = dict[str, Any]


def trace_events(runs: Mapping[str, Sequence[Event]]) -> list[TraceEvent]:
    """Return the trace of `runs`, by the name of the run: metadata first, then by time, in microseconds since the first
    event of all. Trajectories that have not ended are not in it."""
    since_s = min((event.time_s for events in runs.values() for event in events), default=0.0)
    found: list[TraceEvent] = []
    num_flows = 0
    ordered = sorted(runs.items(), key=lambda run: min((event.time_s for event in run[1]), default=0.0))
    for pid, (run, events) in enumerate(ordered, start=1):
        found += _named("process", run, pid=pid, tid=0)
        by_trajectory: dict[str, list[Event]] = {}
        for event in events:
            by_trajectory.setdefault(event.trajectory_id, []).append(event)
        tid = 0
        for trajectory_id, timeline in timelines_of(events).items():
            track = _Track(trajectory_id.partition("/")[2], pid, tid, (timeline.start_s - since_s) * 1e6)
            found += track.slices(timeline, by_trajectory[trajectory_id])
            found += track.flows(timeline, num_flows)
            tid, num_flows = track.last_tid, num_flows + len(timeline.settlements)
    return sorted(found, key=lambda each: (each["ph"] != "M", each["ts"], -each.get("dur", 0.0)))


class _Track:
    """The threads of one trajectory. `start_us` is its start on the trace's clock; numbers of threads follow `tid`."""

    def __init__(self, task: str, pid: int, tid: int, start_us: float) -> None:
        self.last_tid = tid
        self._task = task
        self._pid = pid
        self._start_us = start_us
        self._places: dict[int, tuple[int, float]] = {}

    def slices(self, timeline: Timeline, events: Sequence[Event]) -> list[TraceEvent]:
        found: list[TraceEvent] = []
        target = [span for span in timeline.spans if span.lane not in (Lane.DRAFT, Lane.TOOL)]
        drafts = [span for span in timeline.spans if span.lane is Lane.DRAFT]
        executions = [span for span in timeline.spans if span.lane is Lane.TOOL and span.state != CONFIRMED]
        for name, spans in (("target", target), ("draft", drafts), ("executions", executions)):
            slices = [(span, _name(span), {"turn": span.turn, **span_details(span, events)}) for span in spans]
            found += self._threads(name, slices)
        calls = [(_as_span(call), _call_name(call), settlement_details(call, events)) for call in timeline.settlements]
        return found + self._threads("calls", calls)

    def flows(self, timeline: Timeline, first_id: int) -> list[TraceEvent]:
        """Return an arrow from each execution that was used to its hit."""
        found: list[TraceEvent] = []
        for number, call in enumerate(timeline.settlements, start=first_id):
            execution = execution_of(call, timeline)
            if execution is None:
                continue
            shared = {"name": "hit", "cat": "speculation", "pid": self._pid, "id": number}
            for ph, key in (("s", id(execution)), ("f", id(call.event))):
                tid, ts = self._places[key]
                found.append({**shared, "ph": ph, "tid": tid, "ts": ts, **({"bp": "e"} if ph == "f" else {})})
        return found

    def _threads(self, name: str, slices: Iterable[tuple[Span, str, dict[str, Any]]]) -> list[TraceEvent]:
        ordered = sorted(slices, key=lambda each: each[0].start_s)
        if not ordered:
            return []
        first = self.last_tid + 1
        found: list[TraceEvent] = []
        rows = rows_of([span for span, _, _ in ordered])
        for (span, label, args), (row, num_rows) in zip(ordered, rows, strict=True):
            tid = first + row
            self.last_tid = first + num_rows - 1
            # Rounded before they are subtracted: a slice must not reach into the next by a nanosecond.
            ts, end = (round(self._start_us + seconds * 1e6, 3) for seconds in (span.start_s, span.end_s))
            category = "calls" if name == "calls" else span.lane.value
            shared = {"name": label, "cat": category, "ph": "X", "pid": self._pid, "tid": tid}
            found.append({**shared, "ts": ts, "dur": round(end - ts, 3), "args": args})
            # The start of a flow lies in its execution, its end in the call, which may last no time at all.
            self._places[id(span) if name != "calls" else id(span.event)] = (tid, ts)
        for tid in range(first, self.last_tid + 1):
            found += _named("thread", f"{self._task}: {name}", pid=self._pid, tid=tid)
        return found


def _as_span(call: Settlement) -> Span:
    end_s = max(call.time_s, call.confirmed_s + MIN_CALL_S)
    return Span(lane=Lane.TOOL, start_s=call.confirmed_s, end_s=end_s, turn=call.turn, event=call.event)


def _name(span: Span) -> str:
    if span.lane is Lane.TOOL:
        assert span.event is not None, "an execution comes from its event"
        return f"{span.event.data['name']} ({span.state})"
    return span.lane.value


def _call_name(call: Settlement) -> str:
    return f"{call.outcome.replace('_', ' ')}: {call.event.data['name']}"


def _named(what: str, name: str, *, pid: int, tid: int) -> list[TraceEvent]:
    """Return the metadata that give a process or a thread its name and its place."""
    number = pid if what == "process" else tid
    shared = {"ph": "M", "ts": 0, "pid": pid, "tid": tid}
    return [
        {"name": f"{what}_name", **shared, "args": {"name": name}},
        {"name": f"{what}_sort_index", **shared, "args": {"sort_index": number}},
    ]
