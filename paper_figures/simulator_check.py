"""The simulator against the real engine: predicted and measured time saved, setting by setting.

Drawn from the rows that `make simulator-check` leaves. On the left all settings, those that calibrated the simulator
hollow; on the right those that it had not seen, each with the interval of what was measured.
"""

from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import fmean

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.simulator_check.verdict import SETTING_COLUMNS, SettingVerdict, figures_of, verdicts
from paper_figures import data, style
from paper_figures.command import Drawing
from paper_figures.sources import Source

COLUMNS = (*SETTING_COLUMNS, "time_saved_pct", "simulated_time_saved_pct", "is_held_out", "origin_of_cell", "noise_pct")
MARKERS = ("o", "^", "D", "s", "v", "P")
PREDICTED_COLOUR = "black"
ROW_IN = 0.16


def draw(cells: pd.DataFrame) -> Figure:
    """Return the figure for the rows of the check."""
    rows = [{str(key): value for key, value in row.items()} for row in cells.to_dict("records")]
    settings = verdicts(rows)
    held_out = [setting for setting in settings if setting.is_held_out]
    figure = style.new_figure(height_in=max(3.2, 1.5 + ROW_IN * len(held_out)))
    together, each = figure.subplots(1, 2, width_ratios=[1.0, 1.1])
    looks = _looks(settings)
    _draw_together(together, settings, looks)
    _draw_each(each, held_out, looks)
    _add_legends(figure, cells, settings, looks)
    figures = figures_of(settings, cells.loc[cells["is_held_out"], "noise_pct"].tolist())
    together.set_title(
        f"{figures['num_within']} of {figures['num_settings']} held out within,\n"
        f"rms {figures['rms_points']:.1f}, bias {figures['bias_points']:+.1f} points"
    )
    return figure


Look = tuple[str, str]
"""Colour and marker."""


def _looks(settings: Sequence[SettingVerdict]) -> Mapping[tuple[str, int, int], Look]:
    """Return a colour for each draft and its place, and a marker for each number of agents and samples."""
    drafts = sorted({(str(s.what["draft"]), str(s.what["draft_place"])) for s in settings})
    numbers = sorted({(int(s.what["num_agents"]), int(s.what["num_samples"])) for s in settings})
    return {
        (_draft_text(draft), *number): (
            style.SERIES_COLOURS[i % len(style.SERIES_COLOURS)],
            MARKERS[j % len(MARKERS)],
        )
        for i, draft in enumerate(drafts)
        for j, number in enumerate(numbers)
    }


def _draft_text(draft: tuple[str, str]) -> str:
    return f"{draft[0]} {draft[1]}"


def _key(setting: SettingVerdict) -> tuple[str, int, int]:
    what = setting.what
    draft = _draft_text((str(what["draft"]), str(what["draft_place"])))
    return draft, int(what["num_agents"]), int(what["num_samples"])


def _draw_together(axes: Axes, settings: Sequence[SettingVerdict], looks: Mapping[tuple[str, int, int], Look]) -> None:
    for setting in settings:
        colour, marker = looks[_key(setting)]
        low, _, high = setting.measured_pct
        if low is not None and high is not None:
            axes.vlines(setting.predicted_pct, low, high, color=colour, linewidth=0.7, alpha=0.6)
        face = colour if setting.is_held_out else "white"
        axes.plot(
            [setting.predicted_pct], [setting.mid_pct], color=colour, marker=marker, markerfacecolor=face, linestyle=""
        )
    low, high = axes.get_xlim()
    axes.plot([low, high], [low, high], color="black", linewidth=0.6, zorder=0)
    axes.set_xlim(low, high)
    axes.set_xlabel("predicted time saved (%), modelled")
    axes.set_ylabel("measured time saved (%)")


def _draw_each(axes: Axes, settings: Sequence[SettingVerdict], looks: Mapping[tuple[str, int, int], Look]) -> None:
    ordered = sorted(settings, key=lambda setting: (_key(setting), setting.what["latency_mean_s"]))
    for place, setting in enumerate(ordered):
        colour, marker = looks[_key(setting)]
        low, _, high = setting.measured_pct
        if low is not None and high is not None:
            axes.hlines(place, low, high, color=colour, linewidth=0.9)
        axes.plot([setting.mid_pct], [place], color=colour, marker=marker, linestyle="")
        axes.plot([setting.predicted_pct], [place], color=PREDICTED_COLOUR, marker="|", markersize=8, linestyle="")
    axes.set_yticks(range(len(ordered)), [_name(setting, settings) for setting in ordered])
    axes.invert_yaxis()
    axes.axvline(0.0, color="black", linewidth=0.6)
    axes.set_xlabel("time saved (%)")
    axes.set_title("held out, one by one:\nmeasured, and the prediction as a bar")


def _name(setting: SettingVerdict, settings: Sequence[SettingVerdict]) -> str:
    """Return what tells a setting from the others; the draft's place is told by the colour."""
    what = setting.what
    texts = {
        "experiment": what["experiment"],
        "draft": what["draft"],
        "num_samples": _counted(what["num_samples"], "sample"),
        "num_agents": _counted(what["num_agents"], "agent"),
        "latency_mean_s": f"T = {what['latency_mean_s']:.2f} s",
    }
    return ", ".join(text for name, text in texts.items() if len({other.what[name] for other in settings}) > 1)


def _counted(num: int, what: str) -> str:
    return f"{num} {what}" if num == 1 else f"{num} {what}s"


def _add_legends(
    figure: Figure,
    cells: pd.DataFrame,
    settings: Sequence[SettingVerdict],
    looks: Mapping[tuple[str, int, int], Look],
) -> None:
    drafts = {key[0]: colour for key, (colour, _) in looks.items()}
    numbers = {key[1:]: marker for key, (_, marker) in looks.items()}
    has_samples = len({samples for _, samples in numbers}) > 1
    handles = [Line2D([], [], color=colour, linewidth=3, label=draft) for draft, colour in drafts.items()]
    for (num_agents, num_samples), marker in numbers.items():
        label = _counted(num_agents, "agent") + (f", {_counted(num_samples, 'sample')}" if has_samples else "")
        handles.append(Line2D([], [], color="grey", marker=marker, linestyle="", label=label))
    handles += [
        Line2D([], [], color="grey", marker="o", markerfacecolor="white", linestyle="", label="calibrated on"),
        Line2D([], [], color=PREDICTED_COLOUR, marker="|", markersize=8, linestyle="", label="predicted (right)"),
    ]
    noise_pct = sqrt(fmean(value**2 for value in cells["noise_pct"].tolist()))
    origins, workloads = (", ".join(cells[name].unique()) for name in ("origin_of_cell", "workload"))
    about = (
        f"real engine: {origins}; tasks: {workloads}; {len(cells['block'].unique())} blocks;\n"
        f"lines: 95 % intervals from resampled blocks; baseline against baseline: rms {noise_pct:.1f} points in a block"
    )
    figure.legend(handles=handles, loc="outside lower left", title=about, alignment="left", ncols=4)


DRAWING = Drawing(
    name="simulator_check",
    shows="The simulator against the real engine: predicted and measured time saved.",
    draw=draw,
    sources=(
        Source(
            places=("bench/simulator_check", "published/simulator_check"),
            load=lambda path: data.load_cells(path, columns=COLUMNS, command="make simulator-check"),
            files=lambda path: [path / "cells.parquet"],
            origins=lambda frame: [*frame["origin"].unique(), *frame["origin_of_cell"].unique()],
        ),
    ),
)
