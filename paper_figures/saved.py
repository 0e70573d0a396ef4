"""Time saved against mean tool latency, from cells: the lines that several figures draw."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from harness.metrics.statistics import Interval, block_interval, noise_floor_pct
from paper_figures import data, style
from precall.errors import ConfigError

SAVED = "time_saved_pct"
SHARED = ("model", "num_agents", "workload", "draft_place", "origin")
ASIDE = 0.012  # of the longest tool latency
COLUMNS = (*SHARED, "draft", "speculation", SAVED, "noise_pct", "latency_mean_s", "generation_s_base")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Settings that differ in tool latency alone: (mean tool latency in seconds, time saved in percent)."""

    label: str
    points: tuple[tuple[float, Interval], ...]


def lines_of(cells: pd.DataFrame, by: Sequence[str], label: Callable[[pd.DataFrame], str]) -> list[Line]:
    """Return a line per combination of the columns `by`; `label` names one, from its cells.

    Raises ConfigError where cells differ in more than `by` and latency, or two settings of a line share a latency.
    """
    data.check_alike(cells, [name for name in SHARED if name not in by], may_differ=f"{', '.join(by)} and latency")
    return [
        Line(label=label(rows), points=points_of(rows, SAVED))
        for _, rows in cells.groupby(list(by), sort=False, dropna=False)
    ]


def points_of(cells: pd.DataFrame, column: str) -> tuple[tuple[float, Interval], ...]:
    """Return (mean tool latency in seconds, mean over blocks with its interval) of `column`, one for each setting."""
    points = []
    for latency_s, rows in cells.groupby("latency_mean_s", sort=True):
        num_settings = len(rows["setting"].unique())
        if num_settings > 1:
            raise ConfigError(
                f"{num_settings} settings of {rows['model'].iloc[0]} have latency_mean_s {latency_s}; a "
                "line needs one setting per latency. Draw each experiment from its own folder."
            )
        points.append((float(rows["latency_mean_s"].iloc[0]), block_interval(rows[column].tolist())))
    return tuple(points)


def draw_lines(axes: Axes, cells: pd.DataFrame, lines: Sequence[Line], looks: Sequence[dict[str, Any]]) -> None:
    """Draw `lines`, each with its look (colour, line, marker), over the noise floor; a second axis is in units of G.

    Lines stand a little beside each other, so that no interval hides another.
    """
    draw_noise(axes, noise_of(cells))
    width_s = ASIDE * max(latency_s for line in lines for latency_s, _ in line.points)
    for index, (line, look) in enumerate(zip(lines, looks, strict=True)):
        aside_s = (index - (len(lines) - 1) / 2) * width_s
        style.draw_intervals(axes, [(latency_s + aside_s, saved) for latency_s, saved in line.points], **look)
    add_multiples_of_g(axes, cells)


def noise_floor(noise_pct: Sequence[float], num_blocks: int) -> float:
    """Return the noise floor of a mean over `num_blocks` blocks, from what baselines show against themselves: the
    half-width of its 95 % interval, or, of one value, that value."""
    floor = noise_floor_pct(noise_pct, num_blocks)
    return abs(noise_pct[0]) if floor is None else floor


def noise_of(cells: pd.DataFrame) -> float:
    """Return the noise floor of the time saved by a setting, in percent, from all cells."""
    return noise_floor(cells["noise_pct"].tolist(), len(cells["block"].unique()))


def draw_noise(axes: Axes, floor: float) -> None:
    """Draw the noise floor as a band around a line at 0."""
    axes.axhspan(-floor, floor, color="grey", alpha=0.2, linewidth=0)
    axes.axhline(0.0, color="black", linewidth=0.6)


def noise_handle() -> Artist:
    """Return the legend's entry for what `draw_noise` draws."""
    return style.noise_handle("95 % interval of the mean over blocks")


def add_multiples_of_g(axes: Axes, cells: pd.DataFrame) -> None:
    """Repeat the axis of tool latency above the panel, in multiples of the cells' mean baseline generation."""
    g_s = generation_s(cells)
    above = axes.secondary_xaxis("top", functions=(lambda t: np.divide(t, g_s), lambda t: np.multiply(t, g_s)))
    above.set_xlabel("the same in multiples of G, the mean baseline generation", fontsize=6.5)


def generation_s(cells: pd.DataFrame) -> float:
    """Return G: the mean baseline generation that ends in a call, in seconds."""
    return fmean(cells["generation_s_base"].tolist())


def about(cells: pd.DataFrame) -> str:
    """Return what the cells have in common, for a legend: origin, agents, tasks, model, place of the draft, G."""
    first, num_blocks = cells.iloc[0], len(cells["block"].unique())
    agents = "1 agent" if first["num_agents"] == 1 else f"{first['num_agents']} agents"
    blocks = "1 block (no interval)" if num_blocks == 1 else f"{num_blocks} blocks"
    return (
        f"{first['origin']}, {agents}, tasks {first['workload']}, target {first['model']}, draft "
        f"{first['draft_place']},\n{blocks}, G = {generation_s(cells):.2g} s"
    )


def draw_paper_drafts(axes: Axes, paper: pd.DataFrame) -> None:
    """Draw the published lines of figure 6, one for each draft."""
    for draft, rows in paper.groupby("draft_model", sort=True):
        marker = style.PAPER_MARKERS[str(draft)]
        axes.plot(rows["tool_latency_s"], rows["time_saved_pct"], color=style.PUBLISHED_COLOUR, marker=marker)
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.set_title("(b) the paper, arXiv:2512.15834 Fig. 6")


def line_handles(lines: Sequence[Line], looks: Sequence[dict[str, Any]]) -> list[Artist]:
    """Return the legend's entries for what `draw_lines` draws."""
    handles: list[Artist] = [
        Line2D([], [], color=look["colour"], label=line.label, **look["look"])
        for line, look in zip(lines, looks, strict=True)
    ]
    has_intervals = any(interval.low is not None for line in lines for _, interval in line.points)
    return [*handles, *([style.interval_handle()] if has_intervals else []), noise_handle()]
