"""One look for every figure, and one way to save it: the same bytes on every run, with data and command inside."""

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure

WIDTH_IN = 7.0  # both columns of a paper

# Okabe and Ito's palette, readable with every common colour blindness. Black is for published numbers.
SERIES_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
PUBLISHED_COLOUR = "#000000"
HEAT_MAP = "cividis"

# An arm is told by line and marker, so that colour is free for the setting and a grey print stays readable.
ARM_LINES: dict[str, dict[str, Any]] = {
    "vanilla": {"linestyle": "--", "marker": "s", "markerfacecolor": "white"},
    "speculative": {"linestyle": "-", "marker": "o"},
}

_RC = {
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


def save(figure: Figure, stem: Path, *, data: dict[str, object] | str, command: str) -> tuple[Path, Path]:
    """Write `stem`.pdf and `stem`.png and return their paths.

    `data` identifies what was drawn (file and digest, or equation and grid) and `command` draws it again; both stand in
    the files' metadata (PDF: Keywords and Subject; PNG: Data and Command). No date and no version is written, so the
    same data gives the same bytes.
    """
    identity = data if isinstance(data, str) else json.dumps(data, sort_keys=True)
    stem.parent.mkdir(parents=True, exist_ok=True)
    pdf, png = stem.with_name(f"{stem.name}.pdf"), stem.with_name(f"{stem.name}.png")
    made_by = {"Creator": "precall paper_figures", "Producer": "matplotlib", "CreationDate": None}
    figure.savefig(pdf, metadata={"Title": stem.name, "Subject": command, "Keywords": identity, **made_by})
    made_by = {"Software": "precall paper_figures, matplotlib"}
    figure.savefig(png, metadata={"Title": stem.name, "Command": command, "Data": identity, **made_by})
    return pdf, png
