"""O1, O2 and O3 one by one, with prefix caching on and off: time saved as it was measured and as the paper's cost model
has it. The paper has no ablation; its reference is the most that figure 8 shows for the engine side."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from harness.metrics.statistics import enclosed_noise_floor
from paper_figures import sources, style
from paper_figures.command import Drawing
from paper_figures.engine_agents import PAPER

NONE = "separate"
ARMS = {"O1": "O1", "O1+O3": "O1 + O3", "O1+O2": "O1 + O2", "all": "O1 + O2 + O3"}
MODELLED_LOOK: style.Look = {"marker": "_", "markersize": 14, "markeredgewidth": 1.4, "linestyle": ""}


def modelled_saved_pct(setting: Mapping[str, Any], arm: str) -> float:
    """Return the time saved that the cost model gives an arm over the one without optimisation, in percent."""
    return 100.0 * (1.0 - setting[arm]["modelled_s"] / setting[NONE]["modelled_s"])


def noise_pct(rows: list[dict[str, Any]], *, is_prefix_caching: bool) -> float:
    """Return the noise floor of the time saved in percent, from the two baselines of each block."""
    times: dict[int, list[float]] = {}
    for row in rows:
        if (row["arm"], row["is_prefix_caching"]) == (NONE, is_prefix_caching):
            times.setdefault(row["block"], []).append(row["trajectory_s"])
    shares = [(first - last) / (first + last) for first, last in times.values()]
    floor = enclosed_noise_floor(shares, len(shares))
    return 100.0 * (abs(shares[0]) if floor is None else floor)


def draw(benches: Mapping[str, Mapping[str, Any]], paper: pd.DataFrame) -> Figure:
    """Return the figure for the ablation bench and the paper's figure 8."""
    bench = benches["ablation"]
    engine = paper.loc[paper["method"] == "engine"]
    most = engine.loc[engine["time_saved_pct"].idxmax()]
    figure = style.new_figure(height_in=3.6)
    panels = figure.subplots(1, 2, sharey=True)
    for letter, axes, caching in zip("ab", panels, ("on", "off"), strict=True):
        setting = bench[f"prefix_caching_{caching}"]
        noise = noise_pct(bench["rows"], is_prefix_caching=caching == "on")
        axes.axhspan(-noise, noise, color="grey", alpha=0.2, linewidth=0)
        axes.axhline(0.0, color="black", linewidth=0.6)
        axes.axhline(most["time_saved_pct"], color=style.PUBLISHED_COLOUR, linestyle=":", linewidth=1.0)
        _draw_arms(axes, setting)
        axes.set_title(f"({letter}) prefix caching {caching}")
        axes.grid(visible=False, axis="x")
    panels[0].set_ylabel("time saved per trajectory (%)")
    figure.legend(handles=_handles(most), loc="outside lower left", title=_about(bench), alignment="left", ncols=2)
    return figure


def _draw_arms(axes: Axes, setting: Mapping[str, Any]) -> None:
    for x, (arm, colour) in enumerate(zip(ARMS, style.SERIES_COLOURS, strict=False)):
        low, mid, high = setting[arm]["time_saved_pct"]
        axes.bar(x, mid, width=0.6, color=colour)
        if low is not None and high is not None:
            axes.vlines(x, low, high, color="black", linewidth=0.9)
        axes.plot([x], [modelled_saved_pct(setting, arm)], color="#666666", **MODELLED_LOOK)
    axes.set_xticks(range(len(ARMS)), list(ARMS.values()))


def _about(bench: Mapping[str, Any]) -> str:
    row = bench["rows"][0]
    num_blocks = len({each["block"] for each in bench["rows"]})
    return (
        f"replayed, {row['num_agents']} agents, BFCL multi-turn, oracle posts, tools of 0.5 G, KV blocks of 32 tokens, "
        f"{num_blocks} blocks"
    )


def _handles(most: pd.Series) -> list[Artist]:
    modelled = "modelled: the paper's cost model, its rates from\nthe arm without optimisation"
    published = (
        f"the paper (no ablation): the most its engine side saves in Fig. 8,\n{most['time_saved_pct']:g} % with 1 "
        f"agent at T = {most['tool_latency_s']:g} s; prefix caching not stated"
    )
    return [
        Patch(facecolor="lightgrey", edgecolor="grey", label="replayed: mean over blocks"),
        Line2D([], [], color="black", marker="|", markersize=8, linestyle="", label="95 % interval, resampled blocks"),
        style.noise_handle("95 % interval of the mean over blocks"),
        Line2D([], [], color="#666666", label=modelled, **MODELLED_LOOK),
        Line2D([], [], color=style.PUBLISHED_COLOUR, linestyle=":", label=published),
    ]


DRAWING = Drawing(
    name="engine_ablation",
    shows="O1, O2 and O3 one by one, prefix caching on and off, beside the cost model.",
    draw=draw,
    sources=(sources.bench("ablation", command="make ablation"),),
    paper=(PAPER,),
)
