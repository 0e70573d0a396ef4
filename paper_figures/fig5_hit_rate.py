"""Figure 5: throughput against hit rate, one point per draft and number of samples; ours left, the paper's right.

A hit is a confirmed call whose execution speculation had, ready or still running. The lower panels show the gain over
the vanilla arm; ours is computed per block, and drawn only beside its noise floor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from harness.metrics.statistics import Interval, block_interval
from paper_figures import data, sources, style
from paper_figures.command import Drawing

BASE, SPEC = "throughput_base_tok_per_s", "throughput_spec_tok_per_s"
HITS = ("num_ready_hits", "num_pending_hits", "num_confirmed")
SERIES_COLUMNS = ["model", "draft", "draft_place", "num_agents", "workload", "origin"]
COLUMNS = (*SERIES_COLUMNS, "num_samples", BASE, SPEC, *HITS, "noise_pct", "latency_mean_s", "generation_s_base")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One draft with one number of samples: hit rate in [0, 1], generated tokens/s, gain in percent."""

    num_samples: int
    hit_rate: float
    throughput: Interval
    gain_pct: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One draft, its points in the order of their samples."""

    draft: str
    points: tuple[Point, ...]


def series_of(cells: pd.DataFrame) -> list[Series]:
    """Return a line per draft. Raises ConfigError where cells differ in more than draft and samples."""
    shared = [column for column in SERIES_COLUMNS if column != "draft"]
    data.check_alike(cells, shared, may_differ="draft and samples")
    return [
        Series(draft=str(draft), points=tuple(_point(blocks) for _, blocks in rows.groupby("num_samples", sort=True)))
        for draft, rows in cells.groupby("draft", sort=True)
    ]


def _point(blocks: pd.DataFrame) -> Point:
    num_hits = sum([*blocks["num_ready_hits"].tolist(), *blocks["num_pending_hits"].tolist()])
    gain_pct = 100.0 * (blocks[SPEC] / blocks[BASE] - 1.0)
    return Point(
        num_samples=int(blocks["num_samples"].iloc[0]),
        hit_rate=num_hits / sum(blocks["num_confirmed"].tolist()),
        throughput=block_interval(blocks[SPEC].tolist()),
        gain_pct=block_interval(gain_pct.tolist()),
    )


def draw(cells: pd.DataFrame, paper: pd.DataFrame) -> Figure:
    """Return the figure for our `cells` and the paper's points."""
    lines = series_of(cells)
    figure = style.new_figure(height_in=4.9)
    axes = figure.subplots(2, 2, sharex=True, height_ratios=[1.6, 1.0])
    _draw_ours(axes[0, 0], axes[1, 0], cells, lines)
    _draw_paper(axes[0, 1], axes[1, 1], paper)
    for upper, lower in zip(axes[0], axes[1], strict=True):
        upper.margins(y=0.08)
        upper.set_ylabel("throughput of the server\n(generated tokens/s)")
        lower.set_ylabel("gain over vanilla (%)")
        lower.set_xlabel("hit rate (hits / confirmed calls)")
        lower.axhline(0.0, color="black", linewidth=0.6)
        lower.set_xlim(-0.05, 1.05)
    figure.align_ylabels()
    _add_legends(figure, cells, lines)
    return figure


def _draw_ours(upper: Axes, lower: Axes, cells: pd.DataFrame, lines: Sequence[Series]) -> None:
    noise_pct = max(map(abs, cells["noise_pct"].tolist()))
    lower.axhspan(-noise_pct, noise_pct, color="grey", alpha=0.2, linewidth=0)
    upper.plot([0.0], [fmean(cells[BASE].tolist())], color="grey", **style.ARM_LINES["vanilla"])
    for line, colour in zip(lines, style.colours(lines), strict=True):
        rates = [point.hit_rate for point in line.points]
        for axes, values in (
            (upper, [point.throughput for point in line.points]),
            (lower, [point.gain_pct for point in line.points]),
        ):
            points = list(zip(rates, values, strict=True))
            style.draw_intervals(axes, points, colour, style.ARM_LINES["speculative"])
        _label_ends(upper, [(p.num_samples, p.hit_rate, p.throughput.mid) for p in line.points], colour)
    upper.set_title("(a) this reproduction")


def _draw_paper(upper: Axes, lower: Axes, paper: pd.DataFrame) -> None:
    vanilla = paper.loc[paper["draft_model"] == "none"].iloc[0]
    upper.plot([vanilla["hit_rate"]], [vanilla["throughput_tok_per_s"]], color="grey", **style.ARM_LINES["vanilla"])
    drafts = paper.loc[paper["draft_model"] != "none"].groupby("draft_model", sort=True)
    for (_, rows), marker in zip(drafts, style.PAPER_MARKERS.values(), strict=True):
        look: dict[str, Any] = {"color": style.PUBLISHED_COLOUR, "marker": marker}
        throughput = rows["throughput_tok_per_s"]
        upper.plot(rows["hit_rate"], throughput, **look)
        lower.plot(rows["hit_rate"], 100.0 * (throughput / vanilla["throughput_tok_per_s"] - 1.0), **look)
        points = list(zip(rows["num_samples"], rows["hit_rate"], throughput, strict=True))
        _label_ends(upper, points, style.PUBLISHED_COLOUR)
    upper.set_title("(b) the paper, arXiv:2512.15834 Fig. 5")


def _label_ends(axes: Axes, points: Sequence[tuple[int, float, float | None]], colour: str) -> None:
    """Write the number of samples beside a line's first and last point."""
    for (num_samples, rate, throughput), offset in zip(
        points[:: max(1, len(points) - 1)], ((3, 4), (3, -9)), strict=False
    ):
        if throughput is not None:
            text = axes.annotate(
                f"{num_samples}", (rate, throughput), xytext=offset, textcoords="offset points", color=colour, zorder=5
            )
            text.set_path_effects([withStroke(linewidth=2.0, foreground="white")])


def _add_legends(figure: Figure, cells: pd.DataFrame, lines: Sequence[Series]) -> None:
    first = cells.iloc[0]
    latency_s, generation_s = fmean(cells["latency_mean_s"].tolist()), fmean(cells["generation_s_base"].tolist())
    num_blocks = len(cells["block"].unique())
    about = (
        f"{first['origin']}, {first['num_agents']} agents, {first['workload']}, {first['model']}, draft "
        f"{first['draft_place']},\nT = {latency_s:.2g} s, G = {generation_s:.2g} s, {num_blocks} blocks; "
        "numbers: samples, first and last"
    )
    ours: list[Artist] = [
        Line2D([], [], color=colour, label=line.draft, **style.ARM_LINES["speculative"])
        for line, colour in zip(lines, style.colours(lines), strict=True)
    ]
    ours.append(Line2D([], [], color="grey", label="vanilla", **style.ARM_LINES["vanilla"]))
    if any(point.gain_pct.low is not None for line in lines for point in line.points):
        ours.append(style.interval_handle())
    ours.append(style.noise_handle())
    figure.legend(handles=ours, loc="outside lower left", title=about, alignment="left", ncols=2)
    about = "published, read off the figure: 32 agents, T = 1.5 s"
    figure.legend(handles=style.paper_draft_handles(), loc="outside lower right", title=about, alignment="left")


DRAWING = Drawing(
    name="fig5_hit_rate",
    shows="Throughput against hit rate, by draft and number of samples; the paper's figure 5 beside it.",
    draw=draw,
    sources=(sources.cells("fig5", columns=COLUMNS),),
    paper=("fig5_hit_rate",),
)
