"""`python -m harness.status [-m] experiment=NAME [overrides]`: how far a sweep is, whoever runs it: cells finished,
failed, at work and missing, and what the rest will take. Starts nothing.

The last line on stdout is one JSON object with the counts.
"""

import json
from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.cluster.estimate import Estimate, estimate, total_text
from harness.command import composed, ending
from harness.display import duration_text
from harness.experiment import Experiment, experiments_of, pace_of
from harness.jobs import jobs_of
from harness.progress import Pace, attempts_in

NUM_SHOWN = 10
COLUMNS = ("experiment", "cells", "finished", "failed", "at work", "missing", "left, one after the other")


def counts_of(experiment: Experiment) -> dict[str, int]:
    """Return how many cells there are, and how many have which state."""
    states = Counter(experiment.manifests.get(cell.cell_id, {}).get("status") for cell in experiment.cells)
    names = {cell.cell_id for cell in experiment.cells}
    num_at_work = len(attempts_in(experiment.folder, names))
    return {
        "cells": len(experiment.cells),
        "finished": states["finished"],
        "failed": states["failed"],
        "at_work": num_at_work,
        "missing": len(experiment.cells) - states["finished"] - num_at_work,
    }


def show(nodes: list[Any], console: Console) -> dict[str, Any]:
    """Print the state of composed configurations and return it."""
    experiments = experiments_of(nodes)
    pace = pace_of(experiments)
    table = Table()
    for name in COLUMNS:
        table.add_column(name, justify="left" if name == "experiment" else "right", no_wrap=True)
    found = {}
    for experiment in experiments:
        name = experiment.config.experiment
        found[name] = counts_of(experiment)
        left_s = pace.left_s(Counter(cell.setting_id for cell in experiment.missing))
        table.add_row(name, *map(str, found[name].values()), "?" if left_s is None else duration_text(left_s))
    console.print(table)
    for experiment in experiments:
        _print_cells(experiment, console)
    estimates = estimates_of(experiments, pace)
    if estimates:
        console.print(total_text(estimates), highlight=False)
    return {"experiments": found, "gpu_hours": sum(each.gpu_hours for each in estimates)}


def estimates_of(experiments: list[Experiment], pace: Pace) -> list[Estimate]:
    """Return what the jobs will take that need GPUs."""
    missing = [cell for experiment in experiments for cell in experiment.missing]
    return [estimate(job, pace) for job in jobs_of(missing) if job.num_gpus]


def _print_cells(experiment: Experiment, console: Console) -> None:
    names = {cell.cell_id for cell in experiment.cells}
    lines = [f"at work: {attempt}" for attempt in attempts_in(experiment.folder, names)]
    for name, manifest in experiment.manifests.items():
        if name in names and manifest["status"] == "failed":
            reason = (manifest["error"] or "").partition("\n")[0]
            lines.append(f"failed: {name}: {reason}")
    for line in lines[:NUM_SHOWN]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if len(lines) > NUM_SHOWN:
        console.print(f"and {len(lines) - NUM_SHOWN} more", highlight=False)


def main() -> None:
    if nodes := composed():
        ending(lambda: print(json.dumps(show(nodes, Console(stderr=True))), flush=True))


if __name__ == "__main__":
    main()
