"""Figure 1: throughput against mean tool latency, vanilla and speculative; ours on the left, the paper's on the right.

The lower panels show the gain of the speculative arm over the vanilla arm. Ours is computed per block and drawn only
beside its noise floor; the paper publishes neither a noise floor nor its G, so the two columns share no axis.
"""

import itertools
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.metrics.statistics import Interval, block_interval
from paper_figures import sources, style
from paper_figures.command import Drawing
from precall.errors import ConfigError

ARM_COLUMNS = {"vanilla": "throughput_base_tok_per_s", "speculative": "throughput_spec_tok_per_s"}
SERIES_COLUMNS = ["model", "draft_place", "draft", "num_agents", "workload", "origin"]
COLUMNS = (*SERIES_COLUMNS, *ARM_COLUMNS.values(), "latency_mean_s", "generation_s_base")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One setting: arms in generated tokens/s, gain and noise floor in percent (noise: None if not measured)."""

    latency_s: float
    arms: dict[str, Interval]
    gain_pct: Interval
    noise_pct: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The settings that differ in tool latency alone. `generation_s` is their mean baseline generation (G)."""

    label: str
    generation_s: float
    points: tuple[Point, ...]


def series_of(cells: pd.DataFrame) -> list[Series]:
    """Return the lines to draw. Raises ConfigError if two settings of a line have the same tool latency."""
    return [_series(rows) for _, rows in cells.groupby(SERIES_COLUMNS, sort=True)]


def _series(rows: pd.DataFrame) -> Series:
    first = rows.iloc[0]
    points = sorted((_point(blocks) for _, blocks in rows.groupby("setting")), key=lambda point: point.latency_s)
    for point, after in itertools.pairwise(points):
        if after.latency_s - point.latency_s < 1e-9:
            raise ConfigError(
                f"two settings of {first['model']}, draft {first['draft_place']}, have latency_mean_s "
                f"{point.latency_s}; a line needs one setting per latency. Draw each experiment from its own folder."
            )
    generation_s = fmean(rows["generation_s_base"].tolist())
    label = (
        f"{first['origin']}, {first['num_agents']} agents, {first['workload']}, {first['model']},\n"
        f"draft {first['draft']} {first['draft_place']}, {_block_text(points)}, G = {generation_s:.3g} s"
    )
    return Series(label=label, generation_s=generation_s, points=tuple(points))


def _point(blocks: pd.DataFrame) -> Point:
    gain_pct = 100.0 * (blocks[ARM_COLUMNS["speculative"]] / blocks[ARM_COLUMNS["vanilla"]] - 1.0)
    noise_pct = blocks["noise_pct"].dropna().tolist() if "noise_pct" in blocks else []
    return Point(
        latency_s=fmean(blocks["latency_mean_s"].tolist()),
        arms={arm: block_interval(blocks[column].tolist()) for arm, column in ARM_COLUMNS.items()},
        gain_pct=block_interval(gain_pct.tolist()),
        noise_pct=max(map(abs, noise_pct), default=None),
    )


def _block_text(points: list[Point]) -> str:
    numbers = sorted({point.gain_pct.num_blocks for point in points})
    if numbers == [1]:
        return "1 block (no interval)"
    return f"{numbers[0]} blocks" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]} blocks"


def draw(cells: pd.DataFrame, paper: pd.DataFrame) -> Figure:
    """Return the figure for our `cells` and the paper's points."""
    lines = series_of(cells)
    figure = style.new_figure(height_in=4.3 + 0.25 * len(lines))
    axes = figure.subplots(2, 2, sharex="col", height_ratios=[2.0, 1.0])
    _draw_ours(axes[0, 0], axes[1, 0], lines)
    _draw_paper(axes[0, 1], axes[1, 1], paper)
    for upper, lower in zip(axes[0], axes[1], strict=True):
        upper.set_ylabel("throughput of the server\n(generated tokens/s)")
        lower.set_ylabel("gain over vanilla (%)")
        lower.set_xlabel("mean tool latency (s)")
    figure.align_ylabels()
    _add_legends(figure, lines)
    return figure


def _draw_ours(upper: Axes, lower: Axes, lines: list[Series]) -> None:
    for line, colour in zip(lines, style.colours(lines), strict=True):
        for arm, look in style.ARM_LINES.items():
            style.draw_intervals(upper, [(point.latency_s, point.arms[arm]) for point in line.points], colour, look)
        for point in line.points:
            if point.noise_pct is not None:
                lower.vlines(point.latency_s, -point.noise_pct, point.noise_pct, color=colour, linewidth=7, alpha=0.2)
        look = style.ARM_LINES["speculative"]
        gains = [(point.latency_s, point.gain_pct) for point in line.points if point.noise_pct is not None]
        style.draw_intervals(lower, gains, colour, look)
    if any(point.noise_pct is not None for line in lines for point in line.points):
        lower.axhline(0.0, color="black", linewidth=0.6)
    else:
        lower.text(0.5, 0.5, "noise floor not measured: no gain shown", transform=lower.transAxes, ha="center")
        lower.set_yticks([])
    upper.set_ylim(bottom=max(0.0, upper.get_ylim()[0]))  # an interval over 2 blocks can reach below
    upper.set_title("(a) this reproduction")
    if len(lines) == 1:
        g_s = lines[0].generation_s
        below = lower.secondary_xaxis(-0.5, functions=(lambda t: np.divide(t, g_s), lambda t: np.multiply(t, g_s)))
        below.set_xlabel("the same in multiples of G, the mean baseline generation")


def _draw_paper(upper: Axes, lower: Axes, paper: pd.DataFrame) -> None:
    arms = paper.pivot(index="tool_latency_s", columns="method", values="throughput_tok_per_s")
    for arm, look in style.ARM_LINES.items():
        upper.plot(arms.index, arms[arm], color=style.PUBLISHED_COLOUR, **look)
    gain_pct = 100.0 * (arms["speculative"] / arms["vanilla"] - 1.0)
    lower.plot(arms.index, gain_pct, color=style.PUBLISHED_COLOUR, **style.ARM_LINES["speculative"])
    lower.axhline(0.0, color="black", linewidth=0.6)
    upper.set_title("(b) the paper, arXiv:2512.15834 Fig. 1")


def _add_legends(figure: Figure, lines: list[Series]) -> None:
    arms = [Line2D([], [], color="grey", label=arm, **look) for arm, look in style.ARM_LINES.items()]
    ours: list[Artist] = [
        Line2D([], [], color=colour, linewidth=3, label=line.label)
        for line, colour in zip(lines, style.colours(lines), strict=True)
    ]
    points = [point for line in lines for point in line.points]
    if any(point.gain_pct.low is not None for point in points):
        ours.append(style.interval_handle())
    if any(point.noise_pct is not None for point in points):
        ours.append(style.noise_handle())
    figure.legend(handles=ours, loc="outside lower left")
    label = "published, read off the figure: A100, gpt-oss-120b,\n32 agents; no intervals, noise floor or G given"
    published = Line2D([], [], color=style.PUBLISHED_COLOUR, linewidth=3, label=label)
    figure.legend(handles=[*arms, published], loc="outside lower right")


MEASURED = Drawing(
    name="fig1_throughput",
    shows="Throughput against tool latency, with live models; the paper's figure 1 beside it.",
    draw=draw,
    sources=(sources.cells("pocket", "fig1_paper", columns=COLUMNS),),
    paper=("fig1_throughput",),
)
REPLAYED = Drawing(
    name="fig1_throughput_replayed",
    shows="Throughput against tool latency, from recorded trajectories; the paper's figure 1 beside it.",
    draw=draw,
    sources=(sources.cells("fig1", columns=COLUMNS),),
    paper=("fig1_throughput",),
)
