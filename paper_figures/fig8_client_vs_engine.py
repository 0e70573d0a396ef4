"""Figure 8: time saved by the client side and by the engine side, one agent; ours on the left, the paper's right.

The lower panels show what the engine side adds: ours is the difference of a block's two cells, on the same tasks, and
its noise floor the same difference of what their baselines show against themselves.
"""

from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.metrics.statistics import Interval, block_interval
from paper_figures import saved, sources, style
from paper_figures.command import Drawing
from precall.errors import ConfigError

BY = ("speculation",)
COLUMNS = (*saved.COLUMNS, "is_residency", "is_drafting")
COLOURS = {"client": style.SERIES_COLOURS[0], "engine": style.SERIES_COLOURS[1]}
PAPER = "fig8_client_vs_engine"


def added(cells: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return by how much `column` of the engine side exceeds that of the client side: rows are mean tool latencies in
    seconds and columns blocks. Raises ConfigError where a block lacks one of the two."""
    modes = {
        str(mode): rows.pivot(index="latency_mean_s", columns="block", values=column)
        for mode, rows in cells.groupby("speculation")
    }
    difference = modes["engine"] - modes["client"] if modes.keys() == COLOURS.keys() else None
    if difference is None or difference.isna().any(axis=None):
        raise ConfigError(
            f"the cells have the modes {sorted(modes)}, or a block lacks one; each block needs client and engine. Run "
            "`python -m harness.run experiment=fig8` again, it fills in what is missing."
        )
    return difference


def added_points(cells: pd.DataFrame) -> list[tuple[float, Interval]]:
    """Return (mean tool latency in seconds, points of time saved by which engine exceeds client, over blocks)."""
    difference = added(cells, saved.SAVED)
    blocks = difference.to_numpy().tolist()
    return [(latency_s, block_interval(row)) for latency_s, row in zip(difference.index.tolist(), blocks, strict=True)]


def draw(cells: pd.DataFrame, paper: pd.DataFrame) -> Figure:
    """Return the figure for our `cells` and the paper's points."""
    points = added_points(cells)
    lines = saved.lines_of(cells, BY, lambda rows: str(rows["speculation"].iloc[0]))
    looks: list[dict[str, Any]] = [
        {"colour": COLOURS[line.label], "look": style.METHOD_LINES[line.label]} for line in lines
    ]
    figure = style.new_figure(height_in=4.6)
    axes = figure.subplots(2, 2, sharex="col", sharey="row", height_ratios=[1.7, 1.0])
    saved.draw_lines(axes[0, 0], cells, lines, looks)
    noise_pct = added(cells, "noise_pct").to_numpy()
    saved.draw_noise(axes[1, 0], saved.noise_floor(noise_pct.flatten().tolist(), noise_pct.shape[1]))
    style.draw_intervals(axes[1, 0], points, "dimgrey", {"marker": "o"})
    axes[0, 0].set_title("(a) this reproduction")
    _draw_paper(axes[0, 1], axes[1, 1], paper)
    axes[0, 0].set_ylabel("time saved per agent (%)")
    axes[1, 0].set_ylabel("engine side less\nclient side (points)")
    for lower in axes[1]:
        lower.set_xlabel("mean tool latency (s)")
    figure.align_ylabels()
    _add_legends(figure, cells)
    return figure


def _draw_paper(upper: Axes, lower: Axes, paper: pd.DataFrame) -> None:
    methods = paper.pivot(index="tool_latency_s", columns="method", values="time_saved_pct")
    for method, look in style.METHOD_LINES.items():
        upper.plot(methods.index, methods[method], color=style.PUBLISHED_COLOUR, **look)
    lower.plot(methods.index, methods["engine"] - methods["client"], color=style.PUBLISHED_COLOUR, marker="o")
    for axes in (upper, lower):
        axes.axhline(0.0, color="black", linewidth=0.6)
    upper.set_title("(b) the paper, arXiv:2512.15834 Fig. 8")


def _add_legends(figure: Figure, cells: pd.DataFrame) -> None:
    first = cells.loc[cells["speculation"] == "engine"].iloc[0]
    parts = ["O1", *(["O2"] if first["is_drafting"] else []), *(["O3"] if first["is_residency"] else [])]
    words = {"client": "client side (O1)", "engine": f"engine side ({', '.join(parts)})"}
    handles: list[Artist] = [
        Line2D([], [], color=COLOURS[method], label=word, **style.METHOD_LINES[method])
        for method, word in words.items()
    ]
    handles += [style.interval_handle(), saved.noise_handle()]
    figure.legend(handles=handles, loc="outside lower left", title=saved.about(cells), alignment="left")
    published = [
        Line2D([], [], color=style.PUBLISHED_COLOUR, label=f"{method} side", **look)
        for method, look in style.METHOD_LINES.items()
    ]
    about = "published, read off the figure: 1 agent,\nxLAM-2-8B, 1 sample; no intervals or G given"
    figure.legend(handles=published, loc="outside lower right", title=about, alignment="left")


DRAWING = Drawing(
    name=PAPER,
    shows="Time saved by the client side and by the engine side, one agent; the paper's figure 8 beside it.",
    draw=draw,
    sources=(sources.cells("fig8", columns=COLUMNS),),
    paper=(PAPER,),
)
