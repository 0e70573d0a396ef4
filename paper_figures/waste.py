"""Waste: seconds that tools ran ahead in vain for each second of waiting that speculation saved.

Left, against the mean tool latency, or the number of samples. Right, against the call acceptance rate alpha, beside
what the cost model gives for one sample: a right prediction saves min(T, G - g) and a wrong one runs as long before it
is cancelled, so the ratio is (1 - alpha) / alpha. The paper publishes no waste; its drafts stand where that formula
puts their hit rates.
"""

from functools import partial
from statistics import fmean

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from harness.metrics.statistics import Interval, block_interval
from paper_figures import data, saved, sources, style
from paper_figures.command import Drawing
from paper_figures.data import NothingToDraw

WASTED, GAINED, ALPHA = "wasted_tool_s", "saved_tool_s", "call_acceptance_rate"
COLUMNS = (*saved.COLUMNS, "num_samples", WASTED, GAINED, ALPHA)
AXES = {"latency_mean_s": "mean tool latency (s)", "num_samples": "samples of the draft in a turn"}
TICKS = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
MOST_SHOWN = 4.0  # at least, so that all of the paper's drafts are in it
PAPER = "fig5_hit_rate"


def modelled_waste(alpha: float) -> float:
    """Return seconds wasted per second saved, with one sample and one call a turn. Source: ours, see above."""
    return (1.0 - alpha) / alpha


def ratio_points(cells: pd.DataFrame, x: str) -> list[tuple[float, Interval]]:
    """Return (`x`, seconds wasted per second saved, over blocks), without settings with a block that saved none."""
    points = []
    for _, rows in cells.groupby(x, sort=True):
        if min(rows[GAINED].tolist()) > 0.0:
            points.append((float(rows[x].iloc[0]), block_interval((rows[WASTED] / rows[GAINED]).tolist())))
    return points


def draw(cells: pd.DataFrame, hit_rates: pd.DataFrame, *, x: str) -> Figure:
    """Return the figure for our `cells` over the column `x`, and the paper's figure 5. Raises NothingToDraw if no
    setting saved any time."""
    (fixed,) = AXES.keys() - {x}
    data.check_alike(cells, [*saved.SHARED, fixed], may_differ=f"draft and {x}")
    cells = cells.loc[cells["latency_mean_s"] > 0.0]  # a tool that takes no time wastes and saves none
    by_draft = {str(draft): rows for draft, rows in cells.groupby("draft", sort=False)}
    if not any(ratio_points(rows, x) for rows in by_draft.values()):
        raise NothingToDraw("no setting saved any tool time; seconds wasted per second saved are not defined.")
    figure = style.new_figure(height_in=3.9)
    left, right = figure.subplots(1, 2, sharey=True)
    highest: list[float] = [0.0]
    for (_, rows), colour in zip(by_draft.items(), style.SERIES_COLOURS, strict=False):
        points = ratio_points(rows, x)
        highest += [interval.mid or 0.0 for _, interval in points]
        style.draw_intervals(left, points, colour, style.ARM_LINES["speculative"])
        alphas = [fmean(rows.loc[rows[x] == value, ALPHA].tolist()) for value, _ in points]
        at_alpha = [(alpha, interval) for alpha, (_, interval) in zip(alphas, points, strict=True)]
        style.draw_intervals(right, at_alpha, colour, {"marker": "o", "linestyle": ""})
    _draw_model(right, hit_rates)
    left.set_ylabel("tool-seconds run in vain\nper tool-second saved")
    left.set_xlabel(AXES[x])
    left.xaxis.set_major_locator(MaxNLocator(integer=x == "num_samples"))
    left.set_xlim(0.0, 1.08 * max(cells[x].tolist()))
    right.set_xlabel("call acceptance rate $\\alpha$")
    left.set_title("(a) this reproduction")
    right.set_title("(b) beside the cost model and the paper's drafts")
    for axes in (left, right):
        axes.set_yscale("function", functions=(_root, _square))  # shows 0, and 10, and what lies below 1
        axes.set_yticks(TICKS, [f"{tick:g}" for tick in TICKS])
        axes.set_ylim(-0.003, 1.2 * max(MOST_SHOWN, *highest))
    _add_legends(figure, cells, list(by_draft))
    return figure


def _root(ratio: np.ndarray) -> np.ndarray:
    return np.sign(ratio) * np.sqrt(np.abs(ratio))


def _square(root: np.ndarray) -> np.ndarray:
    return np.sign(root) * np.square(root)


def _draw_model(axes: Axes, hit_rates: pd.DataFrame) -> None:
    alphas = np.linspace(0.1, 1.0, 181)
    axes.plot(alphas, [modelled_waste(alpha) for alpha in alphas.tolist()], color="grey", linestyle="--", marker="")
    for row in hit_rates.loc[hit_rates["num_samples"] == 1].to_dict("records"):
        marker, alpha = style.PAPER_MARKERS[row["draft_model"]], row["hit_rate"]
        look: style.Look = {"color": style.PUBLISHED_COLOUR, "markerfacecolor": "white"}
        axes.plot([alpha], [modelled_waste(alpha)], marker=marker, linestyle="", **look)
    axes.set_xlim(0.0, 1.05)


def _add_legends(figure: Figure, cells: pd.DataFrame, drafts: list[str]) -> None:
    origin = cells["origin"].iloc[0]
    handles: list[Artist] = [
        Line2D([], [], color=colour, label=f"{origin}: {draft}", **style.ARM_LINES["speculative"])
        for draft, colour in zip(drafts, style.SERIES_COLOURS, strict=False)
    ]
    handles.append(style.interval_handle())
    figure.legend(handles=handles, loc="outside lower left", title=saved.about(cells), alignment="left")
    modelled: list[Artist] = [
        Line2D([], [], color="grey", linestyle="--", label="modelled: one sample, (1 - $\\alpha$) / $\\alpha$")
    ]
    modelled += [
        Line2D([], [], color=style.PUBLISHED_COLOUR, marker=marker, linestyle="", markerfacecolor="white", label=label)
        for draft, marker in style.PAPER_MARKERS.items()
        for label in (f"modelled: {draft} at the paper's hit rate",)
    ]
    figure.legend(handles=modelled, loc="outside lower right", title="the paper publishes no waste", alignment="left")


_OVER_LATENCY = partial(draw, x="latency_mean_s")

MEASURED = Drawing(
    name="waste",
    shows="Tool-seconds run in vain per tool-second saved, against tool latency, with live models.",
    draw=_OVER_LATENCY,
    sources=(sources.cells("pocket", "fig1_paper", columns=COLUMNS),),
    paper=(PAPER,),
)
REPLAYED = Drawing(
    name="waste_replayed",
    shows="Tool-seconds run in vain per tool-second saved, against tool latency, from recorded trajectories.",
    draw=_OVER_LATENCY,
    sources=(sources.cells("fig1", columns=COLUMNS),),
    paper=(PAPER,),
)
BY_SAMPLES = Drawing(
    name="waste_by_samples",
    shows="Tool-seconds run in vain per tool-second saved, against the samples of the draft.",
    draw=partial(draw, x="num_samples"),
    sources=(sources.cells("fig5", columns=COLUMNS),),
    paper=(PAPER,),
)
