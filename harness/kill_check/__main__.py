"""`make kill-check`: kills a sweep with SIGKILL at random moments, all its processes, runs it again each time, and
holds what it leaves against an undisturbed sweep.

The default sweep is simulated, and every file of its cells must be the same to the byte, but for when and by whom it
was run; with overrides for real servers (`ARGS='--kills 2 experiment=fig1 scale=smoke'`) those columns of the tables
that do not depend on time. No cell may run to its end twice. The exit status is 1 where something is not as it must be.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from harness.bench import FOLDER, keeping, write_bench
from harness.cell_bench import cells_of
from harness.kill_check.check import check
from harness.provenance import ROOT

SWEEP = (
    *("experiment=fig1", "scale=local", "backend=simulated"),
    "+grid={workload.hit_rate:[0.3,0.6,1.0]}",
)


def start(overrides: Sequence[str], output: Path, journal: Path) -> subprocess.Popen[bytes]:
    """Start the sweep in a process group of its own; what it says goes to a file beside its results."""
    command = [sys.executable, "-m", "harness.kill_check.journal", str(journal), *overrides, f"output={output}"]
    with output.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=ROOT, env=os.environ, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Kill what still runs where the check itself was interrupted."""
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill a sweep at random moments and look at what it leaves.")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("overrides", nargs="*", help="of python -m harness.run; default: a simulated sweep")
    arguments = parser.parse_args()
    overrides = ["tracker.mode=disabled", *(arguments.overrides or SWEEP)]
    cells = cells_of(overrides)
    started: list[subprocess.Popen[bytes]] = []

    def start_in(output: Path, journal: Path) -> subprocess.Popen[bytes]:
        started.append(start(overrides, output, journal))
        return started[-1]

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kills-")))
        stack.callback(end, started)
        stack.enter_context(keeping(FOLDER / f"{cells[0].config.experiment}.json"))
        report = check(
            start_in,
            cells,
            folder,
            num_kills=arguments.kills,
            seed=arguments.seed,
        )
        if report.problems:
            print("\n".join(log.read_text(errors="replace") for log in folder.glob("*.log")), file=sys.stderr)
    write_bench("kill_check", {**report.to_json(), "overrides": overrides}, arguments.seed)
    if report.problems:
        sys.exit("\n".join(report.problems))


if __name__ == "__main__":
    main()
