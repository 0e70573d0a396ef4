"""One look for every figure, and one way to save it: the same bytes on every run, with data and command inside."""

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from harness.metrics.statistics import Interval

Look = dict[str, Any]
"""What matplotlib is told of a line, a marker or a patch."""

WIDTH_IN = 7.0  # both columns of a paper

# Okabe and Ito's palette, readable with every common colour blindness. Black is for published numbers.
SERIES_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
PUBLISHED_COLOUR = "#000000"
HEAT_MAP = "cividis"

# An arm is told by line and marker, so that colour is free for the setting and a grey print stays readable.
ARM_LINES: dict[str, Look] = {
    "vanilla": {"linestyle": "--", "marker": "s", "markerfacecolor": "white"},
    "speculative": {"linestyle": "-", "marker": "o"},
}

# The paper's drafts and its two methods, all in the colour of published numbers.
PAPER_MARKERS = {"xLAM-2-1B": "o", "xLAM-2-3B": "^", "xLAM-2-8B": "D"}
METHOD_LINES: dict[str, Look] = {
    "client": {"linestyle": "--", "marker": "s", "markerfacecolor": "white"},
    "engine": {"linestyle": "-", "marker": "o"},
}

_RC: dict[str, Any] = {
    "axes.grid": True,
    "axes.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.titlesize": 7.5,
    "figure.labelsize": 7,
    "figure.titlesize": 8,
    "font.family": "DejaVu Sans",  # ships with matplotlib, so every machine draws the same glyphs
    "font.size": 7,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.4,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "legend.handlelength": 3.0,
    "legend.title_fontsize": 6.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,
    "savefig.dpi": 250,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
}


def applied() -> AbstractContextManager[None]:
    """Return a context in which figures are drawn and saved in this style, whatever the user's matplotlibrc says."""
    return matplotlib.style.context(["default", _RC])


def new_figure(*, height_in: float, width_in: float = WIDTH_IN) -> Figure:
    """Return an empty figure that no window system knows of (it is rendered with Agg)."""
    return Figure(figsize=(width_in, height_in), layout="constrained")


def colours(items: Sequence[Any]) -> list[str]:
    """Return a colour for each item, the same for the same place."""
    return [SERIES_COLOURS[index % len(SERIES_COLOURS)] for index in range(len(items))]


def draw_intervals(axes: Axes, points: Sequence[tuple[float, Interval]], colour: str, look: Look) -> None:
    """Draw a line through the means, and an upright line for each interval that there is."""
    mids = [math.nan if interval.mid is None else interval.mid for _, interval in points]
    axes.plot([x for x, _ in points], mids, color=colour, **look)
    for x, interval in points:
        if interval.low is not None and interval.high is not None:
            axes.vlines(x, interval.low, interval.high, color=colour, linewidth=0.9)


def interval_handle() -> Line2D:
    """Return the legend's entry for what `draw_intervals` draws."""
    label = "95 % interval from resampled blocks"
    return Line2D([], [], color="grey", marker="|", markersize=8, linestyle="", label=label)


def noise_handle(what: str = "largest of the blocks") -> Patch:
    """Return the legend's entry for a noise floor; `what` says of which kind."""
    return Patch(color="grey", alpha=0.3, label=f"noise floor: baseline against baseline,\n{what}")


def paper_draft_handles() -> list[Line2D]:
    """Return the legend's entries for the paper's drafts."""
    return [
        Line2D([], [], color=PUBLISHED_COLOUR, marker=marker, label=draft) for draft, marker in PAPER_MARKERS.items()
    ]


def mark_published(figure: Figure, folders: Sequence[str]) -> None:
    """Say above the panels that they show rows of ours that came with the checkout."""
    figure.suptitle(f"published rows of ours: {', '.join(folders)}", fontsize=6.5, color="dimgrey")


def save(
    figure: Figure, stem: Path, *, data: dict[str, object] | str, command: str, about: Mapping[str, str]
) -> tuple[Path, Path]:
    """Write `stem`.pdf and `stem`.png and return their paths.

    `data` identifies what was drawn (file and digest, or equation and grid) and `command` draws it again; both stand in
    the files' metadata (PDF: Keywords and Subject; PNG: Data and Command), and `about` in that of the PNG. No date and
    no version is written, so the same data gives the same bytes.
    """
    identity = data if isinstance(data, str) else json.dumps(data, sort_keys=True)
    stem.parent.mkdir(parents=True, exist_ok=True)
    pdf, png = stem.with_name(f"{stem.name}.pdf"), stem.with_name(f"{stem.name}.png")
    made_by = {"Creator": "precall paper_figures", "Producer": "matplotlib", "CreationDate": None}
    figure.savefig(pdf, metadata={"Title": stem.name, "Subject": command, "Keywords": identity, **made_by})
    made_by = {"Software": "precall paper_figures, matplotlib"}
    figure.savefig(png, metadata={"Title": stem.name, "Command": command, "Data": identity, **about, **made_by})
    return pdf, png


def save_text(text: str, stem: Path, *, command: str) -> Path:
    """Write the Markdown `text` to `stem`.md, below the command that makes it again, and return the path."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    file = stem.with_name(f"{stem.name}.md")
    file.write_text(f"<!-- {command} -->\n\n{text}", encoding="utf-8")
    return file
