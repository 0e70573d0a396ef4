"""`make report`: writes results/report.html, one file with verdicts, figures, tables and a viewer of trajectories.

It opens in a browser from the disk: no server, no network. It says what is in results/: your own runs, and the records
that came with the checkout, each marked as such.
"""

import sys
from pathlib import Path
from typing import Any

from harness import provenance
from harness.claims.ledger import FILE
from harness.claims.verdicts import RESULTS, verdicts
from harness.report.cell_tables import cells_table, read_cells, settings_table
from harness.report.data_tables import bench_table, csv_table
from harness.report.environment import by_environment, commit_text, environments, records_in, records_table
from harness.report.figures import FigureShown, figures_in
from harness.report.head import extents
from harness.report.page import packed, render
from harness.report.trajectories import Viewed, view
from harness.report.verdict_rows import counts, verdict_rows
from precall.errors import ConfigError

NAME = "report.html"
COMMAND = "python -m harness.report"


def report(results: Path = RESULTS, ledger: Path = FILE) -> tuple[str, Viewed]:
    """Return the page for what is in `results`, and what the viewer has. Raises ConfigError for a ledger that is not in
    its form, or a record that the verdicts need and that cannot be read."""
    found = verdicts(results, ledger)
    viewed = view(results)
    cells = read_cells(results)
    records = records_in(results)
    groups = by_environment(records, results)
    figures = figures_in(results)
    page = render(
        command=COMMAND,
        extents=extents(records, results),
        checkout=commit_text(provenance.collect(None)),
        counts=counts(found),
        verdicts=verdict_rows(found, results),
        figures=figures,
        environments=environments(groups, results),
        num_cells=sum(len(frame) for frame in cells.values()),
        viewed=viewed,
        data={
            "settings": packed(settings_table(cells, results)),
            "cells": packed(cells_table(cells, results, viewed.runs)),
            "records": packed(records_table(records, groups, results)),
            "behind-figures": packed(_behind(figures, results)),
        },
        trajectories={folder: packed(cells) for folder, cells in viewed.cells.items()},
    )
    return page, viewed


def _behind(figures: list[FigureShown], results: Path) -> dict[str, Any]:
    """Return the tables of the records behind figures, by name; those of cells are on the page already."""
    readers = {"paper": csv_table, "bench": bench_table}
    files = {data.name: data.kind for figure in figures for data in figure.files if data.kind in readers}
    return {name: readers[kind](results / name.removeprefix("results/")) for name, kind in files.items()}


def write(results: Path = RESULTS) -> Path:
    """Write the report, whole or not at all, and return the file."""
    page, viewed = report(results)
    file = results / NAME
    partial = file.with_suffix(".html.partial")
    partial.write_text(page, encoding="utf-8", errors="replace")  # a half of a pair of code units is no text
    partial.replace(file)
    for name, reason in viewed.unreadable:
        print(f"not in the viewer: {name}: {reason}", file=sys.stderr)
    return file


def main() -> None:
    try:
        file = write()
    except ConfigError as error:
        sys.exit(str(error))
    print(f"results/{NAME}: {file.stat().st_size / 2**20:.1f} MiB; open it in a browser")


if __name__ == "__main__":
    main()
