"""The command line of a figure that is drawn from recorded cells beside the paper's numbers."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from paper_figures import data, style
from precall.errors import ConfigError


def run(
    name: str,
    *,
    description: str,
    experiment: str,
    columns: Sequence[str],
    draw: Callable[[pd.DataFrame, pd.DataFrame], Figure],
) -> None:
    """Draw the figure `name` from the cells of a folder, by default those of `experiment` at the local scale, and the
    published numbers of the same name; print the files."""
    parser = argparse.ArgumentParser(prog=f"python -m paper_figures.{name}", description=description)
    parser.add_argument("folder", nargs="?", type=Path, default=data.RESULTS / "runs" / "local" / experiment)
    parser.add_argument("--out", type=Path, default=data.RESULTS / "figures")
    arguments = parser.parse_args()
    try:
        cells, paper = data.load_cells(arguments.folder, columns=columns), data.load_paper(name)
        with style.applied():
            figure = draw(cells, paper)
            drawn = data.identity(arguments.folder / "cells.parquet", data.paper_file(name))
            # Without --out: where the files lie does not change what is in them.
            command = f"python -m paper_figures.{name} {data.shown(arguments.folder)}"
            for file in style.save(figure, arguments.out / name, data=drawn, command=command):
                print(data.shown(file))
    except ConfigError as error:
        parser.exit(1, f"{error}\n")
