"""`python -m harness.simulator_check FOLDER ... [--calibrate RULE ...]`: the simulator against measured cells.

FOLDER is an experiment's in results/runs, with the events of its cells. Those cells calibrate that follow a RULE:
`COLUMN=VALUE,...`, their COLUMN of cells.parquet has one of the values, or several of these in quotes, all of them
(default: latency_mean_g=0, the cells without tool latency). Of all others the time saved is predicted from what was
known before any of their runs: the tasks, what the models say in them and how long the prompts are, the tool latencies,
and the draft's times alone. The rows go to results/bench/simulator_check/cells.parquet, which
paper_figures/simulator_check.py draws; the last line on stdout is one JSON object, kept in
results/bench/simulator_check.json.
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

from harness import bench
from harness.backends.simulated.calibrate import WEAK
from harness.simulator_check import verdict
from harness.simulator_check.cells import MeasuredCell, read_cells
from harness.simulator_check.fit import NOISE, draft_of, engines_of, fit_engines, target_of
from harness.simulator_check.simulation import saved_pct
from harness.tables import CELLS
from precall.errors import ConfigError

NAME = "simulator_check"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m harness.simulator_check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", nargs="+", type=Path, help="experiments' folders in results/runs")
    parser.add_argument("--calibrate", nargs="+", default=["latency_mean_g=0"], metavar="RULE")
    given = parser.parse_args()
    try:
        check(given.folders, given.calibrate, Console(stderr=True, width=150))
    except ConfigError as error:
        sys.exit(str(error))


def check(folders: Sequence[Path], rules: Sequence[str], console: Console) -> None:
    """Fit, predict, and leave the table, the figures and the last line."""
    started_s = time.perf_counter()
    cells = read_cells(folders)
    calibration = [cell for cell in cells if any(_follows(cell.row, rule) for rule in rules)]
    _check_split(cells, calibration, rules)
    gc.disable()  # nothing here makes cycles, and looking for them takes a fifth of the time
    console.print(f"Fitting to {len(calibration)} of {len(cells)} cells, those with {' or '.join(rules)}")
    found = fit_engines(calibration, on_iteration=lambda cost, _: console.print(f"  cost {cost:.1f}"))
    rows = [_row(cell, found.parameters, cell not in calibration) for cell in cells]
    _write(bench.FOLDER / NAME, rows)
    settings = verdict.verdicts(rows)
    verdict.print_table(settings, console)
    bench.write_bench(
        NAME,
        {
            "target": "simulator-check",
            "experiments": list(dict.fromkeys(str(cell.config.experiment) for cell in cells)),
            "calibrated_on": list(rules),
            "num_calibration_cells": len(calibration),
            "num_cells": len(cells) - len(calibration),
            **verdict.figures_of(settings, [row["noise_pct"] for row in rows if row["is_held_out"]]),
            "fit_rms_pct": round(100.0 * NOISE * sqrt(fmean(residual**2 for residual in found.residuals)), 1),
            "num_parameters": len(found.parameters),
            "weakly_identified": [name for name, std in found.relative_std.items() if std > WEAK],
            "origin": "modelled",
            "origin_of_cells": list(dict.fromkeys(str(cell.row["origin"]) for cell in cells)),
            "wall_s": round(time.perf_counter() - started_s, 1),
        },
        parameters=found.parameters,
        relative_std=found.relative_std,
        settings=verdict.as_json(settings),
    )


def _follows(row: Mapping[str, Any], rule: str) -> bool:
    return all(_has(row, part) for part in rule.split())


def _has(row: Mapping[str, Any], rule: str) -> bool:
    column, _, values = rule.partition("=")
    if column not in row:
        raise ConfigError(f"--calibrate has {rule}, and {column} is no column; there are {', '.join(row)}.")
    own = row[column]
    try:
        return any(own == type(own)(value) for value in values.split(","))
    except ValueError as error:
        raise ConfigError(f"--calibrate has {rule}; {column} is like {own!r}.") from error


def _check_split(cells: Sequence[MeasuredCell], calibration: Sequence[MeasuredCell], rules: Sequence[str]) -> None:
    rule = " or ".join(rules)
    if len(calibration) in (0, len(cells)):
        what = "all cells follow" if calibration else "no cell follows"
        raise ConfigError(f"--calibrate is {rule}, which {what}; some must, and others not.")
    known, needed = ({name(cell) for cell in some for name in (target_of, draft_of)} for some in (calibration, cells))
    if unknown := sorted(needed - known):
        raise ConfigError(f"--calibrate is {rule}, which no cell with {unknown[0]} follows; each model needs one.")


def _row(cell: MeasuredCell, parameters: Mapping[str, float], is_held_out: bool) -> dict[str, Any]:
    """Return a row of the check's table: of the experiment's what tells the setting, and what it measured."""
    simulated = saved_pct(cell, engines_of(parameters, cell))
    kept = (
        "experiment",
        "block",
        "model",
        "time_saved_pct",
        "noise_pct",
        "generation_s_base",
        *verdict.SETTING_COLUMNS,
    )
    return {
        **{name: cell.row[name] for name in kept},
        "setting": cell.setting,
        "origin": "modelled",
        "origin_of_cell": cell.row["origin"],
        "is_held_out": is_held_out,
        "simulated_time_saved_pct": simulated,
    }


def _write(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{CELLS}.partial"
    pd.DataFrame(rows).to_parquet(partial, index=False)
    partial.replace(folder / CELLS)


if __name__ == "__main__":
    main()
