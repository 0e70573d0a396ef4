"""Draws timelines, for figures 2 and 4: an arm per row, a trajectory per column, a lane for each thing at work."""

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from harness.metrics.timeline import CONFIRMED, UNDIVIDED, Lane, Span, Timeline, rows_of
from paper_figures import style
from paper_figures.timelines import Pair, Run

HEIGHT = 0.72  # of a bar, in lanes
_TOOLS = {CONFIRMED: "#D55E00", "used": "#009E73"}
_COLOURS = {Lane.PREFILL: "#56B4E9", Lane.DECODE: "#0072B2", Lane.DRAFT: "#E69F00", Lane.OVERHEAD: "#000000"}
_LOST_LOOK: style.Look = {"facecolor": "white", "edgecolor": "#CC79A7", "hatch": "//////"}
_MARKS = {"ready_hit": "*", "pending_hit": "P", "miss": "X"}
_POSTED = "^"
_MARK_LOOK: style.Look = {
    "markersize": 7,
    "color": "black",
    "markeredgecolor": "white",
    "markeredgewidth": 0.6,
    "linestyle": "",
}


def draw(run: Run, *, arm: str) -> Figure:
    """Return the figure for a run whose speculative arm is called `arm`."""
    lanes = [lane for lane in Lane if any(_has(pair, lane) for pair in run.pairs)]
    figure = style.new_figure(height_in=1.9 + 0.34 * len(lanes))
    panels = figure.subplots(2, len(run.pairs), sharex=True, sharey=True, squeeze=False)
    end_s = max(max(pair.base.duration_s, pair.spec.duration_s) for pair in run.pairs)
    for column, pair in enumerate(run.pairs):
        letter = f"({'ab'[column]}) " if len(run.pairs) > 1 else ""
        panels[0, column].set_title(f"{letter}{_title(pair)}\n{pair.task_id}", fontsize=7)
        for axes, timeline in zip(panels[:, column], (pair.base, pair.spec), strict=True):
            _draw_spans(axes, timeline, lanes)
        _draw_marks(panels[1, column], pair.spec, lanes)
        panels[1, column].set_xlabel("time since the trajectory's start (s)")
    for axes, name in zip(panels[:, 0], ("baseline", arm), strict=True):
        axes.set_ylabel(name, fontsize=7.5)
        axes.set_yticks(range(len(lanes)), [str(lane) for lane in lanes])
        axes.set_ylim(len(lanes) - 0.4, -0.75)
        axes.set_xlim(-0.01 * end_s, 1.16 * end_s)
    figure.legend(handles=_handles(run), loc="outside lower left", ncols=3, title=_about(run), alignment="left")
    return figure


def _has(pair: Pair, lane: Lane) -> bool:
    return any(span.lane is lane for timeline in (pair.base, pair.spec) for span in timeline.spans)


def _title(pair: Pair) -> str:
    what = [name for name, number in (("hit", pair.spec.num_hits), ("lost execution", pair.spec.num_lost)) if number]
    return f"{' and '.join(what) or 'nothing predicted'}: {100.0 * pair.saved_share:+.0f} % of the time saved"


def _draw_spans(axes: Axes, timeline: Timeline, lanes: Sequence[Lane]) -> None:
    for y, lane in enumerate(lanes):
        spans = [span for span in timeline.spans if span.lane is lane]
        for span, (row, num_rows) in zip(spans, rows_of(spans), strict=True):
            height = HEIGHT / num_rows
            extent = (y - HEIGHT / 2 + row * height, height)
            # The edge keeps a span of a millisecond visible.
            axes.broken_barh([(span.start_s, span.end_s - span.start_s)], extent, linewidth=0.4, **_look(span))
    axes.axvline(timeline.duration_s, color="black", linewidth=0.8)
    end = (timeline.duration_s, 0.0)
    axes.annotate(f"{timeline.duration_s:.2f} s", end, xytext=(2, 0), textcoords="offset points", va="center")
    axes.grid(visible=False, axis="y")
    axes.set_axisbelow(True)


def _draw_marks(axes: Axes, timeline: Timeline, lanes: Sequence[Lane]) -> None:
    y = lanes.index(Lane.TOOL) if Lane.TOOL in lanes else 0
    for time_s in timeline.posts_s:
        axes.plot([time_s], [y + HEIGHT / 2], marker=_POSTED, zorder=4, **_MARK_LOOK)
    for settlement in timeline.settlements:
        axes.plot([settlement.time_s], [y - HEIGHT / 4], marker=_MARKS[settlement.outcome], zorder=4, **_MARK_LOOK)


def _look(span: Span) -> style.Look:
    if span.lane is not Lane.TOOL:
        colour = _COLOURS[span.lane]
        return {"facecolor": colour, "edgecolor": "white" if span.lane is Lane.DECODE else colour}
    if span.state in _TOOLS:
        return {"facecolor": _TOOLS[span.state], "edgecolor": _TOOLS[span.state]}
    return _LOST_LOOK


def _handles(run: Run) -> list[Artist]:
    shown = [timeline for pair in run.pairs for timeline in (pair.base, pair.spec)]
    spans = [span for timeline in shown for span in timeline.spans]
    is_undivided = any(span.state == UNDIVIDED for span in spans)
    words = {
        Lane.PREFILL: "prefill, with API and queue: to first token",
        Lane.DECODE: "decode; engine side: with prefill and waits" if is_undivided else "decode",
        Lane.DRAFT: "draft",
        Lane.OVERHEAD: "overhead of the client: all else",
    }
    handles: list[Artist] = [
        Patch(facecolor=_COLOURS[lane], label=word)
        for lane, word in words.items()
        if any(span.lane is lane for span in spans)
    ]
    states = {span.state for span in spans if span.lane is Lane.TOOL}
    tools = {CONFIRMED: "tool, run when asked for", "used": "tool, run ahead and used"}
    handles += [Patch(facecolor=_TOOLS[state], label=word) for state, word in tools.items() if state in states]
    if lost := sorted(states - _TOOLS.keys()):
        handles.append(Patch(label=f"tool, run ahead in vain ({', '.join(lost)})", **_LOST_LOOK))
    outcomes = {each.outcome for pair in run.pairs for each in pair.spec.settlements}
    marks = {marker: outcome.replace("_", " ") for outcome, marker in _MARKS.items() if outcome in outcomes}
    if any(timeline.posts_s for timeline in shown):
        marks[_POSTED] = "observation posted to the engine"
    return [*handles, *(Line2D([], [], marker=marker, label=word, **_MARK_LOOK) for marker, word in marks.items())]


def _about(run: Run) -> str:
    cell = run.cell
    agents = "1 agent" if cell["num_agents"] == 1 else f"{cell['num_agents']} agents"
    return (
        f"{cell['origin']}, {agents}, tasks {cell['workload']}, target {cell['model']}, draft {cell['draft']} "
        f"{cell['draft_place']}, T = {cell['latency_mean_s']:.2g} s, G = {cell['generation_s_base']:.2g} s;\n"
        f"baseline against baseline {cell['noise_pct']:+.1f} %; of their kind, the trajectories of median time saved"
    )
