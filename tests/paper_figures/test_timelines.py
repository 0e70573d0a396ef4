"""Figures 2 and 4: which trajectories of a run are shown, and how."""

import pytest

from harness.metrics.timeline import Lane, Span, Timeline
from harness.metrics.timeline import Settlement as Settled
from paper_figures import style, timeline_panels, timelines
from paper_figures.data import NothingToDraw
from paper_figures.timelines import Pair
from tests.harness.metrics.timelines import settled
from tests.paper_figures.frames import cells, cells_folder, timeline_folder


def pair(name: str, saved: float, *, hit: bool = False, lost: bool = False) -> Pair:
    """A task of 10 s without speculation; `saved` is the share that its hit, or else luck, took off."""
    spans = (Span(lane=Lane.TOOL, start_s=0.0, end_s=1.0, turn=0, state="cancelled"),) if lost else ()
    outcome = "ready_hit" if hit else "miss"
    event = settled(1.0, outcome=outcome)
    calls = (Settled(confirmed_s=1.0, time_s=1.0, turn=0, outcome=outcome, is_executed=False, event=event),)
    base = Timeline(start_s=0.0, duration_s=10.0, spans=(), settlements=(), posts_s=())
    spec = Timeline(start_s=0.0, duration_s=10.0 * (1.0 - saved), spans=spans, settlements=calls, posts_s=())
    return Pair(task_id=name, base=base, spec=spec)


def chosen(*pairs: Pair) -> list[str]:
    return [each.task_id for each in timelines.choose(pairs)]


def test_a_trajectory_with_both_a_hit_and_a_lost_execution_is_enough() -> None:
    assert chosen(pair("a", 0.3, hit=True), pair("b", 0.1, hit=True, lost=True), pair("c", 0.0, lost=True)) == ["b"]


def test_else_one_with_a_hit_and_one_with_a_lost_execution_are_shown() -> None:
    assert chosen(pair("a", 0.0, lost=True), pair("b", 0.3, hit=True), pair("c", 0.0)) == ["b", "a"]


def test_of_those_alike_it_is_the_one_of_median_time_saved_not_the_best() -> None:
    assert chosen(pair("a", 0.1, hit=True), pair("b", 0.5, hit=True), pair("c", 0.3, hit=True)) == ["c"]


def test_without_any_hit_or_execution_there_is_still_one_to_show() -> None:
    assert chosen(pair("a", 0.0)) == ["a"]


@pytest.mark.parametrize("mode", ["client", "engine"])
def test_a_run_is_read_from_its_cell_of_that_mode_with_events(mode: str, tmp_path) -> None:
    folder = timeline_folder(tmp_path / "fig8", mode=mode)
    run = timelines.load(folder, mode=mode)
    assert [each.task_id for each in run.pairs] == ["a", "b"]
    assert (run.cell["cell_id"], run.cell["origin"]) == ("T=0.5-b1", "replayed")
    assert timelines.files(folder, mode=mode)[1] == folder / "T=0.5-b1" / "events.jsonl"


def test_a_folder_without_such_a_cell_or_its_events_is_nothing_to_draw(tmp_path) -> None:
    folder = timeline_folder(tmp_path / "fig8", mode="client")
    with pytest.raises(NothingToDraw, match="has no cell with speculation=engine and its events"):
        timelines.load(folder, mode="engine")
    hits = {"num_ready_hits": 1.0, "num_pending_hits": 0.0, "num_wasted": 1.0, "num_cancelled": 0.0, "num_failed": 0.0}
    bare = cells_folder(tmp_path / "fig1", cells(**hits))
    with pytest.raises(NothingToDraw, match="experiment=fig1"):
        timelines.load(bare, mode="client")


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"latency_mean_s": 0.55}, {"latency_mean_s": 1.0}),
        ({"num_wasted": 1.0}, {"noise_pct": 0.0}),
        ({"noise_pct": -1.0}, {"noise_pct": 5.0}),
    ],
    ids=["tools as long as a generation", "hits and lost executions before little noise", "little noise"],
)
def test_of_several_cells_the_more_telling_is_taken(better, worse) -> None:
    row = {"latency_mean_s": 0.5, "generation_s_base": 0.5, "noise_pct": 2.0, "num_ready_hits": 1.0}
    row |= {"num_pending_hits": 0.0, "num_wasted": 0.0, "num_cancelled": 0.0, "num_failed": 0.0}
    assert timelines._preference(row | better) < timelines._preference(row | worse)


def test_the_figure_says_what_was_saved_where_it_comes_from_and_how_noisy_that_was(tmp_path) -> None:
    run = timelines.load(timeline_folder(tmp_path / "fig8", mode="engine"), mode="engine")
    with style.applied():
        figure = timeline_panels.draw(run, arm="engine side")
    assert figure.axes[0].get_title() == "(a) hit: +25 % of the time saved\na"
    assert figure.axes[1].get_title() == "(b) lost execution: +0 % of the time saved\nb"
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert "decode; engine side: with prefill and waits" in labels
    assert "tool, run ahead in vain (cancelled)" in labels
    assert labels[-3:] == ["ready hit", "miss", "observation posted to the engine"]
    about = legend.get_title().get_text()
    assert about.startswith("replayed, 8 agents") and "baseline against baseline -0.5 %" in about


def test_all_panels_share_the_axis_of_time(tmp_path) -> None:
    run = timelines.load(timeline_folder(tmp_path / "fig8", mode="client"), mode="client")
    with style.applied():
        figure = timeline_panels.draw(run, arm="client side")
    assert len(figure.axes) == 4 and len({axes.get_xlim() for axes in figure.axes}) == 1
