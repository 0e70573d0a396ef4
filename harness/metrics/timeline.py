"""A trajectory as spans of time, by what was at work: prefill, decode, draft, tools and what is left over."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from precall.events import Event, EventKind

Interval = tuple[float, float]


class Lane(StrEnum):
    PREFILL = "prefill"  # request sent to first token: API, queue and prefill
    DECODE = "decode"
    DRAFT = "draft"
    TOOL = "tool"
    OVERHEAD = "overhead"  # neither a generation nor a wait for a tool


UNDIVIDED = "undivided"  # of a decode span: the prefill is in it, as no first token was seen
CUT_OFF = "cut_off"  # of a draft span: the target had spoken first
CONFIRMED = "confirmed"  # of a tool span: run for a confirmed call; else its execution's fate


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Seconds since the trajectory's start. `state` is one of the words above, or the fate of an execution; `event` is
    the one that it comes from, None of overhead."""

    lane: Lane
    start_s: float
    end_s: float
    turn: int | None
    state: str = ""
    event: Event | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """When a call was confirmed and when it had its observation, how it was found, and whether the engine had it."""

    confirmed_s: float
    time_s: float
    turn: int
    outcome: str
    is_executed: bool
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """One trajectory. `start_s` is on the clock of its events, all other times count from it; `posts_s` are those at
    which the engine had an observation."""

    start_s: float
    duration_s: float
    spans: tuple[Span, ...]
    settlements: tuple[Settlement, ...]
    posts_s: tuple[float, ...]

    @property
    def num_hits(self) -> int:
        return sum(each.outcome != "miss" for each in self.settlements)

    @property
    def num_lost(self) -> int:
        """Executions whose observation nobody took."""
        return sum(span.lane is Lane.TOOL and span.state not in (CONFIRMED, "used") for span in self.spans)


def timelines_of(events: Iterable[Event]) -> dict[str, Timeline]:
    """Return the timelines of a run by trajectory id, of the trajectories that have ended."""
    by_trajectory: dict[str, list[Event]] = {}
    for event in events:
        by_trajectory.setdefault(event.trajectory_id, []).append(event)
    return {
        name: _timeline(own)
        for name, own in by_trajectory.items()
        if any(event.kind is EventKind.TRAJECTORY_FINISHED for event in own)
    }


def _timeline(events: Sequence[Event]) -> Timeline:
    (start_s,) = (event.time_s for event in events if event.kind is EventKind.TRAJECTORY_STARTED)
    (end_s,) = (event.time_s for event in events if event.kind is EventKind.TRAJECTORY_FINISHED)
    spans: list[Span] = []
    waits: list[Interval] = []
    settlements: list[Settlement] = []

    def add(lane: Lane, since_s: float, until_s: float, event: Event, state: str = "") -> None:
        since_s, until_s = since_s - start_s, until_s - start_s
        spans.append(Span(lane=lane, start_s=since_s, end_s=until_s, turn=event.turn, state=state, event=event))

    for event in events:
        data = event.data
        match event.kind:
            case EventKind.GENERATION_FINISHED:
                waits.append((data["sent_s"], data["finished_s"]))
                first_s = data["first_token_s"]
                if first_s is not None:
                    add(Lane.PREFILL, data["sent_s"], first_s, event)
                state = UNDIVIDED if first_s is None else ""
                add(Lane.DECODE, data["sent_s"] if first_s is None else first_s, data["finished_s"], event, state)
            case EventKind.DRAFT_STARTED:
                until_s, state = _draft_end(events, event)
                add(Lane.DRAFT, event.time_s, until_s, event, state)
            case EventKind.EXECUTION_ENDED:
                tool_s = data["duration_s"]
                until_s = event.time_s if tool_s is None else data["launched_s"] + tool_s
                add(Lane.TOOL, data["launched_s"], until_s, event, data["fate"])
            case EventKind.CALL_SETTLED:
                waits.append((data["confirmed_s"], event.time_s))
                if data["outcome"] == "miss":
                    add(Lane.TOOL, data["confirmed_s"], event.time_s, event, CONFIRMED)
                assert event.turn is not None, "a call is settled in a turn"
                settlement = Settlement(
                    confirmed_s=data["confirmed_s"] - start_s,
                    time_s=event.time_s - start_s,
                    turn=event.turn,
                    outcome=data["outcome"],
                    is_executed=data["is_executed"],
                    event=event,
                )
                settlements.append(settlement)
    posts_s = [e.time_s - start_s for e in events if e.kind is EventKind.OUTPUT_POSTED and not e.data["is_running"]]
    for since_s, until_s in gaps((start_s, end_s), waits):
        span = Span(lane=Lane.OVERHEAD, start_s=since_s - start_s, end_s=until_s - start_s, turn=None)
        spans.append(span)
    return Timeline(
        start_s=start_s,
        duration_s=end_s - start_s,
        spans=tuple(spans),
        settlements=tuple(settlements),
        posts_s=tuple(posts_s),
    )


def _draft_end(events: Sequence[Event], started: Event) -> tuple[float, str]:
    """Return when the draft of a turn ended, and whether it was cut off. Records of before DRAFT_ENDED was kept have
    its answers; one without an answer was cut off when the target had spoken."""
    of_turn = [event for event in events if event.turn == started.turn]
    for event in of_turn:
        if event.kind is EventKind.DRAFT_ENDED:
            return event.time_s, CUT_OFF if event.data["is_cut_off"] else ""
    answered_s = [event.time_s for event in of_turn if event.kind is EventKind.DRAFT_ANSWERED]
    if answered_s:
        return max(answered_s), ""
    spoken_s = [event.time_s for event in of_turn if event.kind is EventKind.GENERATION_FINISHED]
    return (spoken_s[0] if spoken_s else started.time_s), CUT_OFF


def rows_of(spans: Sequence[Span]) -> list[tuple[int, int]]:
    """Return for each span its row and the number of rows, so that no two in one row overlap."""
    ends: list[float] = []
    rows: list[int] = []
    for span in spans:
        row = next((row for row, end_s in enumerate(ends) if end_s <= span.start_s), len(ends))
        ends[row : row + 1] = [span.end_s]
        rows.append(row)
    return [(row, len(ends)) for row in rows]


def gaps(whole: Interval, covered: Iterable[Interval]) -> list[Interval]:
    """Return the parts of `whole` that no interval of `covered` covers, in their order."""
    found: list[Interval] = []
    reached, end = whole
    for since, until in sorted(covered):
        if since > reached:
            found.append((reached, min(since, end)))
        reached = max(reached, until)
    if reached < end:
        found.append((reached, end))
    return found
