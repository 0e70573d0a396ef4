"""A sweep in virtual time that is killed, or run by two processes at once: the tables are those of an undisturbed run,
and no cell is finished twice. `make kill-check` does the same with processes as a user starts them."""

from collections import Counter
from pathlib import Path

import pandas as pd

from harness.kill_check.check import check
from harness.kill_check.journal import FINISHED, count, journalled, read_journal
from tests.harness.command_line import run_here
from tests.harness.configs import cells_of
from tests.harness.kill_check.forks import Fork

SWEEP = (
    *("experiment=fig1", "scale=smoke", "backend=simulated", "tracker=disabled", "scale.num_agents=2"),
    *("scale.latencies=[0.0,0.5,1.0]", "+grid={workload.hit_rate:[0.3,1.0]}"),
)
NUM_CELLS = 12


def start(output: Path, journal: Path) -> Fork:
    def work() -> int:
        with journalled(journal):
            return run_here(*SWEEP, f"output={output}", bench_folder=output.with_suffix(".bench"))

    return Fork(work)


def test_a_sweep_that_is_killed_five_times_ends_with_the_files_and_tables_of_an_undisturbed_one(tmp_path: Path) -> None:
    report = check(start, cells_of(*SWEEP), tmp_path, num_kills=5, seed=7)
    assert report.problems == ()
    assert (report.num_cells, report.num_kills) == (NUM_CELLS, 5)
    assert report.num_kills_in_a_cell > 0
    assert report.num_server_starts == report.num_distinct_servers == 2
    assert report.num_compared_files == 6 * NUM_CELLS


def test_two_processes_at_once_share_a_sweep_and_finish_each_cell_once(tmp_path: Path) -> None:
    output, journal = tmp_path / "out", tmp_path / "journal"
    codes = [process.wait() for process in [start(output, journal), start(output, journal)]]
    assert set(codes) <= {0, 1} and 0 in codes, "1: the other was still at a cell when this one had no more to do"
    finished = count(read_journal(journal), FINISHED)
    assert set(finished.values()) == {1}, finished
    assert Counter(name.startswith("mean_g") for name in finished)[True] == NUM_CELLS
    assert start(output, journal).wait() == 0
    alone = tmp_path / "alone"
    assert start(alone, tmp_path / "other").wait() == 0
    tables = [pd.read_parquet(each / "cells.parquet") for each in (output, alone)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
