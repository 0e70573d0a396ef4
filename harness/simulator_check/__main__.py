"""`python -m harness.simulator_check FOLDER [--calibrate COLUMN=VALUE,...]`: the simulator against measured cells.

FOLDER is an experiment's in results/runs, with the events of its cells. The cells whose COLUMN of cells.parquet has one
of the values calibrate (default: latency_mean_g=0, the cells without tool latency); of all others the time saved is
predicted from what was recorded before any of their runs: the tasks, what the models say in them, the tool latencies,
and the draft's times alone. The rows go to FOLDER/simulated/cells.parquet, which paper_figures/simulator_check.py draws;
the last line on stdout is one JSON object, kept in results/bench/simulator_check.json.
"""

import argparse
import gc
import sys
import time
from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd
from rich.console import Console

from harness.backends.simulated.calibrate import WEAK
from harness.bench import write_bench
from harness.simulator_check import verdict
from harness.simulator_check.cells import MeasuredCell, read_cells
from harness.simulator_check.fit import NOISE, engines_of, fit_engines
from harness.simulator_check.simulation import saved_pct
from harness.tables import CELLS
from precall.errors import ConfigError

SIMULATED = "simulated"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m harness.simulator_check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="an experiment's folder in results/runs")
    parser.add_argument("--calibrate", default="latency_mean_g=0", metavar="COLUMN=VALUE,...")
    given = parser.parse_args()
    try:
        check(given.folder, given.calibrate, Console(stderr=True, width=150))
    except ConfigError as error:
        sys.exit(str(error))


def check(folder: Path, rule: str, console: Console) -> None:
    """Fit, predict, and leave the table, the figures and the last line."""
    started_s = time.perf_counter()
    cells = read_cells(folder)
    is_calibration = [_follows(cell.row, rule) for cell in cells]
    if len(set(is_calibration)) < 2:
        what = "all cells" if is_calibration[0] else "no cell"
        raise ConfigError(f"--calibrate is {rule}, which {what} of {folder} follow; some must, and others not.")
    gc.disable()  # nothing here makes cycles, and looking for them takes a fifth of the time
    calibration = [cell for cell, is_it in zip(cells, is_calibration, strict=True) if is_it]
    console.print(f"Fitting to {len(calibration)} of {len(cells)} cells: {rule}")
    found = fit_engines(calibration, on_iteration=lambda cost, _: console.print(f"  cost {cost:.1f}"))
    rows = [_row(cell, found.parameters, not is_it) for cell, is_it in zip(cells, is_calibration, strict=True)]
    _write(folder / SIMULATED, rows)
    settings = verdict.verdicts(rows)
    verdict.print_table(settings, console)
    write_bench(
        "simulator_check",
        {
            "target": "simulator-check",
            "experiment": str(cells[0].config.experiment),
            "calibrate": rule,
            "num_calibration_cells": len(calibration),
            "num_cells": len(cells) - len(calibration),
            **verdict.figures_of(settings, [row["noise_pct"] for row in rows if row["is_held_out"]]),
            "fit_rms_pct": round(100.0 * NOISE * sqrt(fmean(residual**2 for residual in found.residuals)), 1),
            "num_parameters": len(found.parameters),
            "weakly_identified": [name for name, std in found.relative_std.items() if std > WEAK],
            "origin": "modelled",
            "origin_of_cells": str(cells[0].row["origin"]),
            "wall_s": round(time.perf_counter() - started_s, 1),
        },
        relative_std=found.relative_std,
        parameters=found.parameters,
        settings=verdict.as_json(settings),
    )


def _follows(row: Mapping[str, Any], rule: str) -> bool:
    column, _, values = rule.partition("=")
    if column not in row:
        raise ConfigError(f"--calibrate is {rule}, and {column} is no column; there are {', '.join(row)}.")
    own = row[column]
    return any(own == type(own)(value) for value in values.split(","))


def _row(cell: MeasuredCell, parameters: Mapping[str, float], is_held_out: bool) -> dict[str, Any]:
    """Return a row of the check's table: of the experiment's what tells the setting, and what it measured."""
    simulated = saved_pct(cell, engines_of(parameters, cell))
    kept = ("setting", "block", "model", "time_saved_pct", "noise_pct", "generation_s_base", *verdict.SETTING_COLUMNS)
    return {
        **{name: cell.row[name] for name in kept},
        "origin": "modelled",
        "origin_of_cell": cell.row["origin"],
        "is_held_out": is_held_out,
        "simulated_time_saved_pct": simulated,
    }


def _write(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    folder.mkdir(exist_ok=True)
    partial = folder / f"{CELLS}.partial"
    pd.DataFrame(rows).to_parquet(partial, index=False)
    partial.replace(folder / CELLS)


if __name__ == "__main__":
    main()
