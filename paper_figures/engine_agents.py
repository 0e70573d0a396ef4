"""The engine side at 1 to 32 agents, which the paper could not measure: each arm as a ratio to separate requests.

A column for each setting of the bench. The paper's only number of agents is 1; its point is what figure 8 gives for the
shortest tool latency, T_base / T_spec = 1 / (1 - time saved).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from harness.metrics.statistics import Interval
from paper_figures import sources, style
from paper_figures.command import Drawing

ARMS = {"o3": "residency (O3)", "o3_o2": "residency and drafts (O3 + O2)"}
ASIDE = (0.95, 1.05)  # so that no interval hides another
METRICS = {
    "tokens_per_s_ratio": "throughput of the server,\nratio to separate requests",
    "cpu_s_ratio": "CPU-seconds,\nratio to separate requests",
}
PAPER = "fig8_client_vs_engine"


def settings_of(benches: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the figures of every setting; a bench has its first setting's at the top, the others' by name."""
    return [setting for bench in benches.values() for setting in _settings(bench)]


def _settings(bench: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield bench
    yield from (value for value in bench.values() if isinstance(value, dict) and "tokens_per_s_ratio" in value)


def intervals_of(setting: Mapping[str, Any], metric: str, arm: str, num_blocks: int) -> list[tuple[float, Interval]]:
    """Return (agents, ratio) for an arm, in the order of the agents."""
    by_agents = {int(agents): arms[arm] for agents, arms in setting[metric].items()}
    return [
        (float(agents), Interval(low=low, mid=mid, high=high, num_blocks=num_blocks))
        for agents, (low, mid, high) in sorted(by_agents.items())
    ]


def draw(benches: Mapping[str, Mapping[str, Any]], paper: pd.DataFrame) -> Figure:
    """Return the figure for the benches, by name, and the paper's figure 8."""
    settings = settings_of(benches)
    shortest = paper.loc[paper["method"] == "engine"].sort_values("tool_latency_s").iloc[0]
    ratio = 1.0 / (1.0 - shortest["time_saved_pct"] / 100.0)
    num_blocks = len({row["block"] for bench in benches.values() for row in bench["rows"]})
    figure = style.new_figure(height_in=4.4)
    panels = figure.subplots(len(METRICS), len(settings), sharex=True, sharey="row", squeeze=False)
    for column, setting in enumerate(settings):
        words = setting["reasoning_words"]
        reasoning = f"{words:.0f} words of reasoning" if words else "no reasoning"
        panels[0, column].set_title(f"({'abcdef'[column]}) KV blocks of {setting['block_size']} tokens,\n{reasoning}")
        for axes, metric in zip(panels[:, column], METRICS, strict=True):
            for colour, aside, arm in zip(style.SERIES_COLOURS, ASIDE, ARMS, strict=False):
                points = [(x * aside, ratio) for x, ratio in intervals_of(setting, metric, arm, num_blocks)]
                style.draw_intervals(axes, points, colour, style.ARM_LINES["speculative"])
            axes.axhline(1.0, color="black", linewidth=0.6)
        _draw_noise(panels[0, column], setting)
        panels[0, column].plot([0.8], [ratio], color=style.PUBLISHED_COLOUR, marker="D", linestyle="", zorder=4)
        _label_agents(panels[-1, column], settings)
    for axes, name in zip(panels[:, 0], METRICS.values(), strict=True):
        axes.set_ylabel(name)
    figure.align_ylabels()
    figure.legend(
        handles=_handles(float(shortest["tool_latency_s"])), loc="outside lower left", ncols=2, title=_about(num_blocks)
    )
    return figure


def _draw_noise(axes: Axes, setting: Mapping[str, Any]) -> None:
    for agents, floor in setting["noise_floor_by_agents"].items():
        if floor is not None:
            axes.vlines(float(agents), 1.0 - floor, 1.0 + floor, color="grey", linewidth=7, alpha=0.3, zorder=1)


def _label_agents(axes: Axes, settings: Sequence[Mapping[str, Any]]) -> None:
    numbers = sorted({int(agents) for setting in settings for agents in setting["tokens_per_s_ratio"]})
    axes.set_xscale("log", base=2)
    axes.set_xlim(numbers[0] / 1.5, numbers[-1] * 1.5)
    axes.set_xticks(numbers, [str(number) for number in numbers])
    axes.set_xlabel("agents")


def _about(num_blocks: int) -> str:
    return (
        f"replayed, BFCL multi-turn, oracle posts, tools take no time, prefix caching on, {num_blocks} blocks; 1 is "
        "separate chat requests on a stock server"
    )


def _handles(shortest_s: float) -> list[Artist]:
    look = style.ARM_LINES["speculative"]
    handles: list[Artist] = [
        Line2D([], [], color=colour, label=label, **look)
        for colour, label in zip(style.SERIES_COLOURS, ARMS.values(), strict=False)
    ]
    noise = "noise floor of a throughput ratio: 95 %, baseline against baseline"
    published = f"the paper, Fig. 8: engine side, T = {shortest_s:g} s; A100, 1 agent only"
    return [
        *handles,
        style.interval_handle(),
        Patch(color="grey", alpha=0.3, label=noise),
        Line2D([], [], color=style.PUBLISHED_COLOUR, marker="D", linestyle="", label=published),
    ]


DRAWING = Drawing(
    name="engine_agents",
    shows="The engine side at 1 to 32 agents, as ratios to separate requests on a stock server.",
    draw=draw,
    sources=(sources.bench("engine", "no_reasoning", command="make bench-engine", keys=("reasoning_words",)),),
    paper=(PAPER,),
)
