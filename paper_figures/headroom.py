"""Headroom: the oracle's ceiling, what the cost model predicts, what was measured, and what is left unexplained.

On the right the same for the paper, as far as its figures allow. For one call a turn the cost model's share of time
saved is alpha times that of an oracle as slow as the draft (eq:client-alg-speedup), so the 8B draft's saving over its
hit rate stands for the ceiling, and hit rate times ceiling is predicted for the other two drafts.
"""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.metrics.statistics import Interval
from paper_figures import data, saved, sources, style
from paper_figures.command import Drawing

CEILING, PREDICTED, LOADED = (
    "ceiling_time_saved_pct",
    "predicted_time_saved_pct",
    "predicted_loaded_time_saved_pct",
)
SHARED = (*saved.SHARED, "draft", "num_samples")
COLUMNS = (*saved.COLUMNS, "num_samples", CEILING, PREDICTED, LOADED)
PAPER = ("fig5_hit_rate", "fig6_time_saved_client")
ORACLE = "xLAM-2-8B"
CEILING_LOOK: style.Look = {"linestyle": ":", "marker": ""}
PREDICTED_LOOK: style.Look = {"linestyle": "--", "marker": ""}
RESIDUAL_COLOUR, LOAD_COLOUR = style.SERIES_COLOURS[1], style.SERIES_COLOURS[4]


def residual_points(cells: pd.DataFrame, minuend: str) -> tuple[tuple[float, Interval], ...]:
    """Return (mean tool latency in seconds, points by which `minuend` exceeds the prediction, over blocks)."""
    return saved.points_of(cells.assign(residual=cells[minuend] - cells[PREDICTED]), "residual")


def paper_predictions(hit_rates: pd.DataFrame, times: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's time saved by draft and latency with the ceiling and the prediction for it, in percent."""
    alpha = hit_rates.loc[hit_rates["num_samples"] == 1].set_index("draft_model")["hit_rate"]
    table = times.pivot(index="tool_latency_s", columns="draft_model", values="time_saved_pct")
    ceiling = table[ORACLE] / alpha[ORACLE]
    rows = [
        {"draft": draft, "latency_s": latency_s, "ceiling": ceiling[latency_s], "saved": value}
        | {"predicted": alpha[draft] * ceiling[latency_s]}
        for draft in table.columns
        if draft != ORACLE
        for latency_s, value in table[draft].items()
    ]
    return pd.DataFrame(rows)


def draw(cells: pd.DataFrame, hit_rates: pd.DataFrame, times: pd.DataFrame) -> Figure:
    """Return the figure for our `cells` and the paper's figures 5 and 6."""
    data.check_alike(cells, SHARED, may_differ="tool latency")
    figure = style.new_figure(height_in=4.9)
    axes = figure.subplots(2, 2, sharex="col", sharey="row", height_ratios=[1.6, 1.0])
    _draw_ours(axes[0, 0], axes[1, 0], cells)
    _draw_paper(axes[0, 1], axes[1, 1], paper_predictions(hit_rates, times))
    axes[0, 0].set_ylabel("time saved per agent (%)")
    axes[1, 0].set_ylabel("residual: time saved\nless predicted (points)")
    for lower in axes[1]:
        lower.axhline(0.0, color="black", linewidth=0.6)
        lower.set_xlabel("mean tool latency (s)")
    figure.align_ylabels()
    _add_legends(figure, cells)
    return figure


def _draw_ours(upper: Axes, lower: Axes, cells: pd.DataFrame) -> None:
    colour = style.SERIES_COLOURS[0]
    for axes in (upper, lower):
        saved.draw_noise(axes, saved.noise_of(cells))
    for column, look in ((CEILING, CEILING_LOOK), (PREDICTED, PREDICTED_LOOK)):
        style.draw_intervals(upper, _means(saved.points_of(cells, column)), colour, look)
    style.draw_intervals(upper, saved.points_of(cells, saved.SAVED), colour, {"marker": "o", "linestyle": ""})
    style.draw_intervals(lower, residual_points(cells, saved.SAVED), RESIDUAL_COLOUR, {"marker": "o"})
    of_load = _means(residual_points(cells, LOADED))
    style.draw_intervals(lower, of_load, LOAD_COLOUR, {"marker": "v", "linestyle": "--"})
    saved.add_multiples_of_g(upper, cells)
    upper.set_title("(a) this reproduction")


def _means(points: Sequence[tuple[float, Interval]]) -> list[tuple[float, Interval]]:
    """Return the points without their limits: those of what is modelled would say nothing of the model."""
    return [(latency_s, replace(interval, low=None, high=None)) for latency_s, interval in points]


def _draw_paper(upper: Axes, lower: Axes, table: pd.DataFrame) -> None:
    look: style.Look = {"color": style.PUBLISHED_COLOUR, "markersize": 3.0}
    ceiling = table.drop_duplicates("latency_s")
    upper.plot(ceiling["latency_s"], ceiling["ceiling"], **look, **CEILING_LOOK)
    for draft, rows in table.groupby("draft", sort=True):
        marker = style.PAPER_MARKERS[str(draft)]
        upper.plot(rows["latency_s"], rows["saved"], marker=marker, linestyle="", **look)
        upper.plot(rows["latency_s"], rows["predicted"], **look, **PREDICTED_LOOK)
        lower.plot(rows["latency_s"], rows["saved"] - rows["predicted"], marker=marker, **look)
    upper.set_title("(b) the paper, from its Figs. 5 and 6")


def _add_legends(figure: Figure, cells: pd.DataFrame) -> None:
    colour = style.SERIES_COLOURS[0]
    origin = cells["origin"].iloc[0]
    ours: list[Artist] = [
        Line2D([], [], color=colour, label="modelled: an oracle that answers at once", **CEILING_LOOK),
        Line2D([], [], color=colour, label="modelled: this draft, from G, g and its hits", **PREDICTED_LOOK),
        Line2D([], [], color=colour, marker="o", linestyle="", label=str(origin)),
        Line2D([], [], color=RESIDUAL_COLOUR, marker="o", label="residual"),
        Line2D([], [], color=LOAD_COLOUR, marker="v", linestyle="--", label="of it: another G beside speculation"),
        style.interval_handle(),
        saved.noise_handle(),
    ]
    figure.legend(handles=ours, loc="outside lower left", title=saved.about(cells), alignment="left", ncols=2)
    black = style.PUBLISHED_COLOUR
    published: list[Artist] = [
        Line2D([], [], color=black, label="8B draft's saving / its hit rate", **CEILING_LOOK),
        Line2D([], [], color=black, label="that times the draft's hit rate", **PREDICTED_LOOK),
    ]
    published += [
        Line2D([], [], color=black, marker=marker, linestyle="", label=f"published: {draft}")
        for draft, marker in style.PAPER_MARKERS.items()
        if draft != ORACLE
    ]
    about = "hit rates of Fig. 5 (T = 1.5 s)"
    figure.legend(handles=published, loc="outside lower right", title=about, alignment="left")


MEASURED = Drawing(
    name="headroom",
    shows="The oracle's ceiling, the prediction, what was measured and the residual, with live models.",
    draw=draw,
    sources=(sources.cells("pocket", "fig1_paper", columns=COLUMNS),),
    paper=PAPER,
)
REPLAYED = Drawing(
    name="headroom_replayed",
    shows="The oracle's ceiling, the prediction, what was measured and the residual, from recorded trajectories.",
    draw=draw,
    sources=(sources.cells("fig1", columns=COLUMNS),),
    paper=PAPER,
)
