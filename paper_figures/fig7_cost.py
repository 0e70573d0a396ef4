"""Figure 7: time saved against what the draft's tokens cost, one point per number of samples; ours left, the paper's
right.

Dollars are the ledger's tokens times a table of prices (conf/prices), per 100 turns, the draft's alone. Ours have the
origin of their tokens; the prices are OpenAI's, for whatever model was run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.metrics.statistics import Interval, block_interval
from paper_figures import data, saved, sources, style
from paper_figures.command import Drawing
from precall.errors import ConfigError

ADDED, TARGET = "added_usd_per_100_turns", "target_usd_per_100_turns_spec"
SERIES_COLUMNS = ["model", "draft", "draft_place", "num_agents", "workload", "backend", "origin"]
COLUMNS = (
    *SERIES_COLUMNS,
    *("num_samples", ADDED, TARGET, "time_saved_pct", "noise_pct", "call_acceptance_rate"),
    *("latency_mean_s", "generation_s_base"),
)
PAPER_TARGET_USD = 0.606
"""What the paper's main model costs per 100 turns (results/paper/fig7_cost.csv, first line)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One number of samples: US dollars that they add per 100 turns, time saved in percent, and the call acceptance
    rate."""

    num_samples: int
    added_usd: float
    saved_pct: Interval
    alpha: float


def points_of(cells: pd.DataFrame) -> list[Point]:
    """Return the points in the order of their samples. Raises ConfigError where cells differ in more than samples."""
    data.check_alike(cells, SERIES_COLUMNS, may_differ="samples")
    points = []
    for num_samples, blocks in cells.groupby("num_samples", sort=True):
        if len(set(blocks["setting"].tolist())) > 1:
            raise ConfigError(
                f"two settings have num_samples {num_samples}; a point needs one. Draw one tool latency at a time."
            )
        points.append(
            Point(
                num_samples=int(blocks["num_samples"].iloc[0]),
                added_usd=fmean(blocks[ADDED].tolist()),
                saved_pct=block_interval(blocks["time_saved_pct"].tolist()),
                alpha=fmean(blocks["call_acceptance_rate"].tolist()),
            )
        )
    return points


def draw(cells: pd.DataFrame, paper: pd.DataFrame) -> Figure:
    """Return the figure for our `cells` and the paper's points."""
    points = points_of(cells)
    figure = style.new_figure(height_in=3.4)
    ours, theirs = figure.subplots(1, 2, sharey=True)
    _draw_ours(ours, cells, points)
    theirs.plot(
        paper["added_cost_usd_per_100_turns"], paper["time_saved_pct"], color=style.PUBLISHED_COLOUR, marker="o"
    )
    rows = zip(paper["num_samples"], paper["added_cost_usd_per_100_turns"], paper["time_saved_pct"], strict=True)
    _label(theirs, list(rows), style.PUBLISHED_COLOUR)
    theirs.set_title("(b) the paper, arXiv:2512.15834 Fig. 7")
    for axes in (ours, theirs):
        axes.set_xlabel("added cost of the draft (USD per 100 turns)")
        axes.set_xlim(left=0.0)
        axes.margins(x=0.1, y=0.15)
        axes.autoscale_view()
    ours.set_ylabel("time saved (%)")
    _add_legends(figure, cells, points)
    return figure


def _draw_ours(axes: Axes, cells: pd.DataFrame, points: Sequence[Point]) -> None:
    colour = style.SERIES_COLOURS[0]
    saved.draw_noise(axes, saved.noise_of(cells))
    style.draw_intervals(
        axes, [(p.added_usd, p.saved_pct) for p in points], colour=colour, look=style.ARM_LINES["speculative"]
    )
    _label(axes, [(point.num_samples, point.added_usd, point.saved_pct.mid) for point in points], colour)
    axes.set_title("(a) this reproduction")


def _label(axes: Axes, points: Sequence[tuple[int, float, float | None]], colour: str) -> None:
    """Write the number of samples beside each point."""
    for num_samples, usd, saved_pct in points:
        if saved_pct is not None:
            place = {"xytext": (-3, 5), "textcoords": "offset points", "ha": "right"}
            axes.annotate(f"{num_samples}", (usd, saved_pct), color=colour, **place)


def _add_legends(figure: Figure, cells: pd.DataFrame, points: Sequence[Point]) -> None:
    first = cells.iloc[0]
    latency_s, generation_s = fmean(cells["latency_mean_s"].tolist()), fmean(cells["generation_s_base"].tolist())
    about = (
        f"tokens {first['origin']}, prices as in conf/prices; {first['num_agents']} agents, {first['workload']},\n"
        f"{first['model']}, draft {first['draft']} {first['draft_place']}, T = {latency_s:.2g} s, "
        f"G = {generation_s:.2g} s,\n{len(cells['block'].unique())} blocks; numbers: samples; call acceptance rate "
        f"{points[0].alpha:.2f} to {points[-1].alpha:.2f}\n"
        f"main model: {fmean(cells[TARGET].tolist()):.3f} USD per 100 turns"
    )
    ours: list[Artist] = [saved.noise_handle()]
    if any(point.saved_pct.low is not None for point in points):
        ours.insert(0, style.interval_handle())
    figure.legend(handles=ours, loc="outside lower left", title=about, alignment="left")
    about = f"published: gpt-5 with gpt-5-nano, client-side;\nmain model: {PAPER_TARGET_USD} USD per 100 turns"
    published = [Line2D([], [], color=style.PUBLISHED_COLOUR, marker="o", label="no intervals or noise floor given")]
    figure.legend(handles=published, loc="outside lower right", title=about, alignment="left")


DRAWING = Drawing(
    name="fig7_cost",
    shows="Time saved against what the draft's tokens cost, by samples; the paper's figure 7 beside it.",
    draw=draw,
    sources=(sources.cells("fig7_simulated", columns=COLUMNS),),
    paper=("fig7_cost",),
)
