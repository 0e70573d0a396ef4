"""Timelines of trajectories, against spans that were worked out by hand."""

from harness.metrics.timeline import (
    CONFIRMED,
    CUT_OFF,
    UNDIVIDED,
    Lane,
    Span,
    Timeline,
    gaps,
    rows_of,
    timelines_of,
)
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

SPEC = "spec-1"


def timeline_of(*events: Event) -> Timeline:
    (timeline,) = timelines_of(events).values()
    return timeline


def spans(timeline: Timeline, lane: Lane) -> list[tuple[float, float, str]]:
    return [(span.start_s, span.end_s, span.state) for span in timeline.spans if span.lane is lane]


def missed(confirmed_s: float, time_s: float, *, run: str = "base-1", turn: int = 0) -> Event:
    data = settled(time_s, run=run, turn=turn).data | {"confirmed_s": confirmed_s}
    return event(EventKind.CALL_SETTLED, time_s, run=run, turn=turn, **data)


def draft_ended(time_s: float, *, is_cut_off: bool) -> Event:
    return event(EventKind.DRAFT_ENDED, time_s, run=SPEC, turn=0, is_cut_off=is_cut_off)


def test_a_generation_is_divided_at_its_first_token_and_times_count_from_the_trajectorys_start() -> None:
    timeline = timeline_of(started(10.0), generated(10.5, 13.0, first_token_s=11.0, num_calls=0), ended(13.25))
    assert timeline.duration_s == 3.25
    assert spans(timeline, Lane.PREFILL) == [(0.5, 1.0, "")]
    assert spans(timeline, Lane.DECODE) == [(1.0, 3.0, "")]


def test_a_generation_without_a_first_token_is_undivided() -> None:
    timeline = timeline_of(started(0.0), generated(0.0, 2.0, num_calls=0), ended(2.0))
    assert spans(timeline, Lane.PREFILL) == []
    assert spans(timeline, Lane.DECODE) == [(0.0, 2.0, UNDIVIDED)]


def test_a_miss_runs_its_tool_when_the_target_has_spoken_and_what_is_left_is_overhead() -> None:
    timeline = timeline_of(
        started(0.0),
        generated(0.25, 2.0),
        missed(2.5, 4.0),
        generated(4.0, 5.0, turn=1, num_calls=0),
        ended(5.5),
    )
    assert spans(timeline, Lane.TOOL) == [(2.5, 4.0, CONFIRMED)]
    assert spans(timeline, Lane.OVERHEAD) == [(0.0, 0.25, ""), (2.0, 2.5, ""), (5.0, 5.5, "")]
    assert (timeline.num_hits, timeline.num_lost) == (0, 0)


def test_executions_stand_where_they_ran_and_say_what_became_of_them() -> None:
    timeline = timeline_of(
        started(0.0, run=SPEC),
        asked(0.0),
        drafted(0.0, 0.5),
        launched(0.5),
        launched(0.5),
        draft_ended(0.5, is_cut_off=False),
        generated(0.0, 2.0, run=SPEC),
        execution_ended(2.0, "cancelled", 1.5),
        settled(3.0, run=SPEC, outcome="pending_hit"),
        execution_ended(3.0, "used", 2.5),
        ended(3.0, run=SPEC),
    )
    assert spans(timeline, Lane.DRAFT) == [(0.0, 0.5, "")]
    assert spans(timeline, Lane.TOOL) == [(0.5, 2.0, "cancelled"), (0.5, 3.0, "used")]
    assert [(each.time_s, each.outcome) for each in timeline.settlements] == [(3.0, "pending_hit")]
    assert (timeline.num_hits, timeline.num_lost) == (1, 1)


def test_a_wait_for_a_pending_hit_is_no_overhead() -> None:
    data = settled(3.0, outcome="pending_hit").data | {"confirmed_s": 2.0}
    pending = event(EventKind.CALL_SETTLED, 3.0, turn=0, **data)
    timeline = timeline_of(started(0.0), generated(0.0, 2.0), pending, ended(3.0))
    assert spans(timeline, Lane.OVERHEAD) == []


def test_a_draft_that_was_cut_off_says_so() -> None:
    cut = (started(0.0, run=SPEC), asked(0.0), generated(0.0, 2.0, run=SPEC, num_calls=0))
    recorded = timeline_of(*cut, draft_ended(2.0, is_cut_off=True), ended(2.0, run=SPEC))
    assert spans(recorded, Lane.DRAFT) == [(0.0, 2.0, CUT_OFF)]


def test_records_of_before_the_end_of_a_draft_was_kept_still_have_one() -> None:
    begun = (started(0.0, run=SPEC), asked(0.0))
    spoken = (generated(0.0, 2.0, run=SPEC, num_calls=0), ended(2.0, run=SPEC))
    assert spans(timeline_of(*begun, drafted(0.0, 0.5), *spoken), Lane.DRAFT) == [(0.0, 0.5, "")]
    assert spans(timeline_of(*begun, *spoken), Lane.DRAFT) == [(0.0, 2.0, CUT_OFF)]


def test_only_posts_with_an_output_count() -> None:
    posts = [
        event(EventKind.OUTPUT_POSTED, at_s, run=SPEC, turn=0, name="f", arguments="{}", is_running=is_running)
        for at_s, is_running in ((0.5, True), (1.5, False))
    ]
    timeline = timeline_of(started(0.0, run=SPEC), *posts, ended(2.0, run=SPEC))
    assert timeline.posts_s == (1.5,)


def test_a_trajectory_that_has_not_ended_has_no_timeline() -> None:
    assert timelines_of([started(0.0), started(0.0, task="b"), ended(1.0, task="b")]).keys() == {"base-1/b"}


def test_gaps_are_what_no_interval_covers() -> None:
    assert gaps((0.0, 10.0), [(6.0, 7.0), (1.0, 3.0), (2.0, 4.0)]) == [(0.0, 1.0), (4.0, 6.0), (7.0, 10.0)]
    assert gaps((0.0, 1.0), [(0.0, 1.0)]) == []


def test_spans_that_overlap_get_rows_of_their_own() -> None:
    spans = [Span(lane=Lane.TOOL, start_s=a, end_s=b, turn=0) for a, b in ((0.0, 2.0), (1.0, 3.0), (2.0, 4.0))]
    assert rows_of(spans) == [(0, 2), (1, 2), (0, 2)]
    assert rows_of(spans[:1]) == [(0, 1)]
