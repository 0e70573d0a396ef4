"""A sweep in virtual time that is killed, or run by two processes at once: the tables are those of an undisturbed run,
and no cell is finished twice."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from harness.records import MANIFEST, RunFolder
from tests.harness.command_line import run_here

SWEEP = (
    *("experiment=fig1", "scale=smoke", "backend=simulated", "tracker=disabled", "scale.num_agents=2"),
    *("scale.latencies=[0.0,0.5,1.0]", "+grid={workload.hit_rate:[0.3,1.0]}"),
)
NUM_CELLS = 12
NUM_KILLS = 5
STARTED_S = 30.0


def start(output: Path) -> int:
    """Start the sweep in a fork of this process, which writes what it finishes to `finished`, and return its id."""
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(RunFolder, "finish", noting(RunFolder.finish, output.with_suffix(".finished")))
            code = run_here(*SWEEP, f"output={output}", bench_folder=output.with_suffix(".bench"))
    finally:
        os._exit(code)


def noting(finish: Callable[..., None], file: Path) -> Callable[..., None]:
    def noted(folder: RunFolder, status: str, error: str | None = None) -> None:
        finish(folder, status, error)
        with file.open("a") as finished:
            finished.write(f"{folder.path.name}\n")

    return noted


def wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def num_finished(output: Path) -> int:
    return len(list(output.glob(f"*/{MANIFEST}")))


def finished_once(output: Path) -> set[str]:
    """Return the folders that were finished, none of them twice."""
    counts = Counter(output.with_suffix(".finished").read_text().split())
    assert set(counts.values()) == {1}, counts
    return set(counts)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    assert run_here(*SWEEP, f"output={output}", bench_folder=output.with_suffix(".bench")) == 0
    return output


def assert_same_tables(output: Path, other: Path) -> None:
    tables = [pd.read_parquet(each / "cells.parquet") for each in (output, other)]
    assert len(tables[0]) == NUM_CELLS
    pd.testing.assert_frame_equal(*tables)


def test_a_sweep_that_is_killed_five_times_ends_with_the_tables_of_an_undisturbed_one(
    undisturbed: Path, tmp_path: Path
) -> None:
    output, rng = tmp_path / "out", random.Random(7)
    for _ in range(NUM_KILLS):
        pid = start(output)
        wanted = num_finished(output) + rng.randrange(2)
        until_s = time.monotonic() + STARTED_S
        while num_finished(output) < wanted and time.monotonic() < until_s:
            time.sleep(0.002)
        time.sleep(rng.uniform(0.0, 0.05))
        kept = {file: file.read_bytes() for file in output.glob(f"*/{MANIFEST}")}
        os.kill(pid, signal.SIGKILL)
        assert wait(pid) == -signal.SIGKILL, "it was at work"
        assert {file: file.read_bytes() for file in kept} == kept
    assert num_finished(output) < num_finished(undisturbed)
    assert wait(start(output)) == 0
    assert_same_tables(output, undisturbed)
    assert all(RunFolder(output / name).is_finished for name in finished_once(output))
    left = [path.name for path in (output / "running").iterdir()]
    assert not [name for name in left if name.startswith("mean_g")], "what the killed ones left of cells"


def test_two_processes_at_once_share_a_sweep_and_finish_each_cell_once(undisturbed: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    codes = [wait(pid) for pid in (start(output), start(output))]
    assert set(codes) <= {0, 1} and 0 in codes, "1: the other was still at a cell when this one had no more to do"
    assert len([name for name in finished_once(output) if name.startswith("mean_g")]) == NUM_CELLS
    assert wait(start(output)) == 0
    assert_same_tables(output, undisturbed)
