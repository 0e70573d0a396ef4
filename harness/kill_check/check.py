"""Whether a sweep that is killed leaves what an undisturbed one leaves, and runs no cell to its end twice."""

import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness import build
from harness.calibration import draft_calibration
from harness.job_runner import needs_draft_times
from harness.jobs import servers_of
from harness.kill_check.journal import BEGUN, FINISHED, SERVER, Entry, count, read_journal, server_name
from harness.kill_check.kills import Kill, Process, abandoned, finished_cells, kill_at, moments
from harness.records import MANIFEST
from harness.schema import BackendKind
from harness.sweep import Cell
from harness.tables import CELLS

StartIn = Callable[[Path, Path], Process]
"""Starts the sweep with its results in a folder and its journal in a file."""

# Of real engines, what does not depend on time: replayed tokens are forced, and calls and tasks are the recording's.
WITHOUT_TIME = (
    *("cell_id", "setting", "block", "num_agents", "latency_mean_g"),
    *("num_output_tokens_base", "num_output_tokens_spec", "num_confirmed", "trajectory_alpha", "num_prompts"),
)
OF_EACH_RUN = (MANIFEST, "provenance.json", "config.yaml")
"""Files of a cell that say when, by whom and in which folder it was run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the check has found; `problems` is empty where all is as it must be. Seconds are those of the undisturbed
    sweep, from its start to its end."""

    num_cells: int
    num_kills: int
    num_kills_in_a_cell: int
    finished_at_kills: tuple[int, ...]
    num_runs_begun: int
    num_distinct_servers: int
    num_server_starts: int
    num_compared_files: int
    undisturbed_s: float
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__} | {"is_ok": not self.problems}


def check(start: StartIn, cells: Sequence[Cell], folder: Path, *, num_kills: int, seed: int) -> Report:
    """Run a sweep undisturbed, and again with `num_kills` kills, in folders below `folder`, and compare.

    The cells' own `output` is not looked at: `start` is told where results go.
    """
    names = {cell.cell_id for cell in cells}
    plain, disturbed = folder / "undisturbed", folder / "killed"
    journals = {each: each.with_suffix(".journal") for each in (plain, disturbed)}
    problems: list[str] = []
    started_s = time.monotonic()
    process = start(plain, journals[plain])
    while not finished_cells(plain, names) and process.poll() is None:
        time.sleep(0.01)
    first_s = time.monotonic()
    problems += _ended("the undisturbed sweep", process.wait())
    ended_s = time.monotonic()
    cell_s = (ended_s - first_s) / len(cells)
    kills: list[Kill] = []
    for moment in moments(num_kills, len(cells), random.Random(seed)):
        kill = kill_at(lambda: start(disturbed, journals[disturbed]), disturbed, names, moment, cell_s)
        if kill is not None:
            kills.append(kill)
    problems += _ended("the last of the killed sweep's runs", start(disturbed, journals[disturbed]).wait())
    if len(kills) < num_kills:
        problems.append(f"only {len(kills)} of {num_kills} kills came before the sweep's end")
    journal = read_journal(journals[disturbed])
    wanted = servers_wanted(cells)
    starts = count(read_journal(journals[plain]), SERVER)
    if starts != Counter(wanted):
        problems.append(f"the undisturbed sweep started {dict(starts)}, and needs one each of {sorted(wanted)}")
    is_exact = all(cell.config.backend.kind is BackendKind.simulated for cell in cells)
    compared = _compared_files(plain, disturbed, names) if is_exact else []
    if differing := [file for file, is_same in compared if not is_same]:
        problems.append(f"{len(differing)} of {len(compared)} files differ, {differing[0]} among them")
    problems += _of_tables(plain, disturbed, is_exact=is_exact)
    problems += _of_runs(journal)
    problems += _of_kills(kills, disturbed, names)
    return Report(
        num_cells=len(cells),
        num_kills=len(kills),
        num_kills_in_a_cell=sum(kill.has_abandoned for kill in kills),
        finished_at_kills=tuple(kill.num_finished for kill in kills),
        num_runs_begun=sum(num for name, num in count(journal, BEGUN).items() if name in names),
        num_distinct_servers=len(wanted),
        num_server_starts=starts.total(),
        num_compared_files=len(compared),
        undisturbed_s=round(ended_s - started_s, 1),
        problems=tuple(problems),
    )


def servers_wanted(cells: Sequence[Cell]) -> set[str]:
    """Return the servers that a sweep needs, those of drafts that are timed alone among them."""
    configs = [cell.config for cell in cells]
    found = {server for config in configs for server in servers_of(config)}
    drafts = [draft_calibration(config).config for config in configs if needs_draft_times(config)]
    return set(map(server_name, found.union(*map(build.draft_servers, drafts))))


def _ended(what: str, code: int) -> list[str]:
    return [] if code == 0 else [f"{what} ended with exit status {code}"]


def _of_tables(plain: Path, disturbed: Path, *, is_exact: bool) -> list[str]:
    columns = None if is_exact else list(WITHOUT_TIME)
    try:
        tables = [pd.read_parquet(each / CELLS, columns=columns) for each in (plain, disturbed)]
    except FileNotFoundError as error:
        return [f"there is no table: {error.filename}"]
    try:
        pd.testing.assert_frame_equal(tables[0], tables[1], check_exact=True)
    except AssertionError as error:
        return [f"the tables differ: {str(error).partition(chr(10))[0]}"]
    return []


def _compared_files(plain: Path, disturbed: Path, cells: Collection[str]) -> list[tuple[str, bool]]:
    """Return the files of all cells, and whether both sweeps have them byte for byte."""
    found: list[tuple[str, bool]] = []
    for cell in sorted(cells):
        files = [
            {file.relative_to(each / cell): file for file in (each / cell).rglob("*") if file.is_file()}
            for each in (plain, disturbed)
        ]
        for name in sorted(files[0].keys() | files[1].keys()):
            if name.name in OF_EACH_RUN:
                continue
            pair = [of_sweep.get(name) for of_sweep in files]
            is_same = None not in pair and pair[0].read_bytes() == pair[1].read_bytes()  # type: ignore[union-attr]
            found.append((f"{cell}/{name}", is_same))
    return found


def _of_runs(journal: Sequence[Entry]) -> list[str]:
    finished = count(journal, FINISHED)
    problems = [f"{name} ran to its end {num} times" for name, num in finished.items() if num > 1]
    starts = Counter((entry.pid, entry.name) for entry in journal if entry.what == SERVER)
    return problems + [f"process {pid} started {name} {num} times" for (pid, name), num in starts.items() if num > 1]


def _of_kills(kills: Sequence[Kill], output: Path, cells: Collection[str]) -> list[str]:
    problems = [f"{process} outlived a kill" for kill in kills for process in kill.outlived_by]
    final = finished_cells(output, cells)
    changed = {name for kill in kills for name, manifest in kill.manifests.items() if final.get(name) != manifest}
    problems += [f"{name} was finished at a kill, and is not as it was" for name in sorted(changed)]
    left = sorted(abandoned(output).intersection(cells))
    return problems + [f"{name} was abandoned, and something of it is left" for name in left]
