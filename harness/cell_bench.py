"""`make bench-cells [ARGS='--cells 10000']`: how long a folder with so many simulated cells takes to be listed, resumed
and drawn. The cells are copies of one that is run, in a temporary folder; each step is a command as a user gives it."""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

from harness.bench import FOLDER, write_bench
from harness.cell import folder_of
from harness.command import CONF, register_schema
from harness.provenance import ROOT
from harness.sweep import Cell, expand

NUM_BLOCKS = 5
AGENTS = tuple(range(1, 11))
NUM_RESUMED = 10
OF_EACH = ("metrics.json", "manifest.json")


def overrides_of(output: Path, *, num_latencies: int, num_agents: Sequence[int], num_blocks: int) -> list[str]:
    """Return what the command line says for fig1 in virtual time, over latencies and agents."""
    latencies = ",".join(f"{index / num_latencies:.6f}" for index in range(num_latencies))
    return [
        *("experiment=fig1", "backend=simulated", "tracker=disabled", f"output={output}"),
        *(f"scale.num_blocks={num_blocks}", "agent.tasks_per_agent=1", f"scale.latencies=[{latencies}]"),
        f"+grid={{agent.num_agents:[{','.join(map(str, num_agents))}]}}",
    ]


def cells_of(overrides: Sequence[str]) -> list[Cell]:
    register_schema()
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return expand(compose("config", list(overrides)))


def fill(cells: Sequence[Cell], first: Path) -> None:
    """Make the folders of cells from `first`, the folder of one that is finished."""
    metrics = json.loads((first / "metrics.json").read_text(encoding="utf-8"))
    for cell in cells:
        folder = folder_of(cell).path
        if folder == first:
            continue
        folder.mkdir()
        for file in first.iterdir():
            if file.name in OF_EACH:
                shutil.copy(file, folder)
            else:
                os.link(file, folder / file.name)  # nothing here reads it
        metrics["latency_mean_s"] = cell.config.latency.mean_g
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=1), encoding="utf-8")


def timed(*command: str) -> dict[str, float]:
    """Run a command of this environment and return its seconds, on the clock and of CPU time."""
    started_s, cpu_s = time.monotonic(), _children_cpu_s()
    ran = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        sys.exit(f"python -m {' '.join(command)} ended with {ran.returncode}.\n{ran.stderr}")
    return {"wall_s": round(time.monotonic() - started_s, 1), "cpu_s": round(_children_cpu_s() - cpu_s, 1)}


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(folder: Path, num_cells: int) -> dict[str, Any]:
    """Make the cells in `folder` and return what each step takes."""
    output = folder / "fig1"
    timed("harness.run", *overrides_of(output, num_latencies=1, num_agents=[1], num_blocks=1))
    (first,) = output.glob("mean_g_*")
    num_latencies = max(1, num_cells // (NUM_BLOCKS * len(AGENTS)))
    overrides = overrides_of(output, num_latencies=num_latencies, num_agents=AGENTS, num_blocks=NUM_BLOCKS)
    cells = cells_of(overrides)
    fill(cells, first)
    found: dict[str, Any] = {"num_cells": len(cells)}
    found["listing"] = timed("harness.status", *overrides)
    found["nothing_missing"] = timed("harness.run", *overrides)
    # Of the agents whose calibrations are there: those are runs, and what one takes is no matter of the folder's size.
    for cell in [cell for cell in cells if cell.config.agent.num_agents == 1][-NUM_RESUMED:]:
        shutil.rmtree(folder_of(cell).path)
    found[f"{NUM_RESUMED}_missing"] = timed("harness.run", *overrides)
    found["drawing"] = timed(
        "paper_figures", "fig1_throughput", "--from", str(output), "--out", str(folder / "figures")
    )
    return found


@contextmanager
def kept(file: Path) -> Iterator[None]:
    """Leave a file after the block as it was before it."""
    content = file.read_bytes() if file.exists() else None
    try:
        yield
    finally:
        if content is None:
            file.unlink(missing_ok=True)
        else:
            file.write_bytes(content)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the commands on a folder with many cells.")
    parser.add_argument("--cells", type=int, default=10_000)
    num_cells = parser.parse_args().cells
    with tempfile.TemporaryDirectory(prefix="cells-") as folder, kept(FOLDER / "fig1.json"):
        write_bench("cells", measure(Path(folder), num_cells))


if __name__ == "__main__":
    main()
