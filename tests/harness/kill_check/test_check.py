"""The check finds what a killed sweep must not leave: made-up sweeps, one that is right and others with one fault."""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from harness.kill_check import kills
from harness.kill_check.check import Report, check, servers_wanted
from harness.kill_check.journal import BEGUN, FINISHED, SERVER, Entry, count, read_journal
from harness.kill_check.kills import moments
from harness.sweep import Cell
from tests.harness.configs import cells_of
from tests.harness.kill_check.forks import Fork

CELL_S = 0.004
SIMULATED = (
    *("experiment=fig1", "scale=smoke", "backend=simulated", "scale.latencies=[0.0,0.5,1.0]"),
    "scale.num_blocks=4",
)


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    return cells_of(*SIMULATED)


class Sweep:
    """Writes a folder for each of `cells` that has none; what is wrong is overridden."""

    def __init__(self, cells: list[Cell]) -> None:
        self.cells = cells

    def __call__(self, output: Path, journal: Path) -> Fork:
        return Fork(lambda: self.run(output, journal))

    def run(self, output: Path, journal: Path) -> int:
        def note(what: str, name: str) -> None:
            with journal.open("a") as file:
                file.write(f"{os.getpid()} {what} {name}\n")

        for server in self.servers():
            note(SERVER, server)
        for cell in self.cells:
            if self.is_left_out(output / cell.cell_id):
                continue
            attempt = output / "running" / f"{cell.cell_id}@host@{os.getpid()}@"
            attempt.mkdir(parents=True)
            note(BEGUN, cell.cell_id)
            time.sleep(CELL_S)
            (attempt / "events.jsonl").write_text(self.events(cell))
            (attempt / "manifest.json").write_text(json.dumps({"status": "finished", "by": os.getpid()}))
            self.clear(output, cell, attempt)
            attempt.rename(output / cell.cell_id)
            note(FINISHED, cell.cell_id)
        pd.DataFrame({"cell_id": [cell.cell_id for cell in self.cells], "value": self.value()}).to_parquet(
            output / "cells.parquet"
        )
        return 0

    def servers(self) -> list[str]:
        return sorted(servers_wanted(self.cells))

    def is_left_out(self, folder: Path) -> bool:
        return folder.is_dir()

    def events(self, cell: Cell) -> str:
        return cell.cell_id

    def value(self) -> float:
        return 1.0

    def clear(self, output: Path, cell: Cell, attempt: Path) -> None:
        for left in (output / "running").glob(f"{cell.cell_id}@*"):
            if left != attempt:
                (left / "events.jsonl").unlink(missing_ok=True)
                (left / "manifest.json").unlink(missing_ok=True)
                left.rmdir()


class RunsAllAgain(Sweep):
    def is_left_out(self, folder: Path) -> bool:
        for file in folder.glob("*"):
            file.unlink()
        if folder.is_dir():
            folder.rmdir()
        return False


class DependsOnItsProcess(Sweep):
    def events(self, cell: Cell) -> str:
        return f"{cell.cell_id} {os.getpid()}"


class DriftsInTheTable(Sweep):
    def value(self) -> float:
        return 1.0 + 1e-12 * random.Random(os.getpid()).random()


class StartsServersTwice(Sweep):
    def servers(self) -> list[str]:
        return [*super().servers(), *super().servers()]


class LeavesAttempts(Sweep):
    def clear(self, output: Path, cell: Cell, attempt: Path) -> None:
        pass


class LeavesProcesses(Sweep):
    def servers(self) -> list[str]:
        subprocess.Popen(["sleep", "5"], start_new_session=True)
        return super().servers()


class Fails(Sweep):
    def run(self, output: Path, journal: Path) -> int:
        return super().run(output, journal) or 3


def checked(sweep: Callable[[Path, Path], Fork], cells: list[Cell], folder: Path, num_kills: int = 3) -> Report:
    return check(sweep, cells, folder, num_kills=num_kills, seed=3)


def test_a_sweep_that_goes_on_where_it_was_has_no_problem(cells: list[Cell], tmp_path: Path) -> None:
    report = checked(Sweep(cells), cells, tmp_path)
    assert report.problems == ()
    assert report.to_json()["is_ok"]
    assert (report.num_cells, report.num_kills) == (12, 3)
    assert report.num_server_starts == report.num_distinct_servers == 2
    assert report.num_compared_files == 12
    assert list(report.finished_at_kills) == sorted(report.finished_at_kills)
    assert report.num_runs_begun >= 12


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (RunsAllAgain, " times"),
        (RunsAllAgain, "was finished at a kill, and is not as it was"),
        (DependsOnItsProcess, "12 of 12 files differ"),
        (DriftsInTheTable, 'the tables differ: DataFrame.iloc[:, 1] (column name="value") are different'),
        (StartsServersTwice, "the undisturbed sweep started "),
        (LeavesAttempts, "was abandoned, and something of it is left"),
        (LeavesProcesses, "sleep ("),
        (Fails, "the undisturbed sweep ended with exit status 3"),
    ],
)
def test_each_fault_is_a_problem(
    fault: type[Sweep], problem: str, cells: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kills, "GONE_S", 0.1)
    report = checked(fault(cells), cells, tmp_path, num_kills=3)
    assert [text for text in report.problems if problem in text], report.problems
    assert not report.to_json()["is_ok"]


def test_of_real_engines_what_depends_on_time_may_differ(tmp_path: Path) -> None:
    class Measured(DependsOnItsProcess):
        def run(self, output: Path, journal: Path) -> int:
            code = super().run(output, journal)
            row = {"num_agents": 2, "latency_mean_g": 0.5, "num_output_tokens_base": 7.0, "num_output_tokens_spec": 7.0}
            row |= {"num_confirmed": 1.0, "trajectory_alpha": 0.5, "num_prompts": 2, "throughput": float(os.getpid())}
            rows = [
                row | {"cell_id": each.cell_id, "setting": each.setting_id, "block": each.block} for each in self.cells
            ]
            pd.DataFrame(rows).to_parquet(output / "cells.parquet")
            return code

    external = ("backend=external", "backend.url=http://127.0.0.1/v1", "backend.draft_url=http://127.0.0.1/v1")
    real = cells_of(*SIMULATED, *external)
    report = checked(Measured(real), real, tmp_path)
    assert report.problems == ()
    assert report.num_compared_files == 0


def test_moments_are_spread_over_the_whole_sweep_and_come_in_order() -> None:
    drawn = moments(1000, 10, random.Random(0))
    assert drawn == sorted(drawn)
    assert 0.0 <= drawn[0] < 0.1 and 9.3 < drawn[-1] <= 9.5
    assert moments(5, 10, random.Random(1)) == moments(5, 10, random.Random(1))


def test_a_journal_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "none") == []
    (tmp_path / "one").write_text("7 finished a\n7 begun b\n8 finished a\n")
    assert read_journal(tmp_path / "one")[1] == Entry(7, "begun", "b")
    assert count(read_journal(tmp_path / "one"), FINISHED) == {"a": 2}


def test_a_kill_takes_the_whole_group(tmp_path: Path) -> None:
    sweep = Fork(lambda: subprocess.run(["sleep", "5"], check=False).returncode)
    killed = kills.kill_at(lambda: sweep, tmp_path, {"a"}, 0.5, 0.2)
    assert killed is not None and killed.outlived_by == ()
    assert sweep.wait() == -signal.SIGKILL
