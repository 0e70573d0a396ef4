"""`make simulate`: the paper's grid on simulated engines, and what it predicts of figures that it was not fitted to.

All numbers are modelled. The last line on stdout is one JSON object, kept in results/bench/simulate.json with a row
per cell in simulate_cells.csv beside it.
"""

import csv
import gc
import time
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.backends.simulated import calibrate
from harness.backends.simulated.figures import THROUGHPUT, TIME_SAVED, Point, by_figure, points, rms
from harness.backends.simulated.grid import Grid, GridCell, mean_throughput, mean_time_saved
from harness.backends.simulated.paper import PaperParameters
from harness.bench import FOLDER, write_bench

HEADLINE = ("fig6_3B", "fig8_client", "fig5")
"""The held-out figures that count: client-side, as what was fitted. Figure 8's engine side is printed beside them."""


def main() -> None:
    gc.disable()  # nothing here makes cycles, and looking for them takes a fifth of the time
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    calibration = calibrate.load()
    cells = list(Grid(PaperParameters(**calibration["parameters"])).all_cells())
    wall_s, cpu_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s
    found = points()
    index = _index(cells)
    summary = by_figure(found, lambda point: _predict(index, point))
    _write_cells(cells)
    _print(summary, Console(stderr=True))
    headline = [point for point in found if point.figure in HEADLINE]
    write_bench(
        "simulate",
        {
            "wall_s": round(wall_s, 1),
            "cpu_s": round(cpu_s, 1),
            "cells": len(cells),
            "rms_time_saved_points": _rms(index, headline, TIME_SAVED),
            "rms_throughput_pct": _rms(index, headline, THROUGHPUT),
            "rms_fitted_time_saved_points": _rms(index, [p for p in found if p.is_fitted], TIME_SAVED),
            "rms_fitted_throughput_pct": _rms(index, [p for p in found if p.is_fitted], THROUGHPUT),
            "by_figure": summary,
            "num_parameters": len(fields(PaperParameters)),
            "weakly_identified": calibration["weakly_identified"],
            "origin": "modelled",
        },
        parameters=calibration["parameters"],
        predictions=[{**asdict(p), "method": p.method.value, "predicted": round(_predict(index, p), 2)} for p in found],
    )


Index = dict[tuple[Any, ...], list[GridCell]]


def _index(cells: Sequence[GridCell]) -> Index:
    index: Index = {}
    for cell in cells:
        key = (cell.method, cell.draft, cell.num_samples, cell.latency_s, cell.num_agents)
        index.setdefault(key, []).append(cell)
    return index


def _predict(index: Index, point: Point) -> float:
    cells = index[(point.method, point.draft, point.num_samples, point.latency_s, point.num_agents)]
    return mean_throughput(cells) if point.metric == THROUGHPUT else mean_time_saved(cells)


def _rms(index: Index, of: Sequence[Point], metric: str) -> float:
    return round(rms(point.error(_predict(index, point)) for point in of if point.metric == metric), 2)


def _write_cells(cells: Sequence[GridCell]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "simulate_cells.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(GridCell)])
        writer.writeheader()
        writer.writerows({**asdict(cell), "method": cell.method.value} for cell in cells)


def _print(summary: dict[str, dict[str, Any]], console: Console) -> None:
    table = Table(title="Simulated against the paper (modelled)")
    for column in ("figure", "used for", "points", "rms", "mean error", "unit"):
        table.add_column(column)
    for figure, row in summary.items():
        use = "fitted" if row["is_fitted"] else "held out"
        table.add_row(figure, use, str(row["num_points"]), str(row["rms"]), f"{row['bias']:+}", row["unit"])
    console.print(table)


if __name__ == "__main__":
    main()
