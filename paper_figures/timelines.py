"""Chooses from a run what a timeline figure shows: one cell, and of it the same trajectories in both arms."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.metrics.timeline import Timeline, timelines_of
from harness.records import RunFolder
from paper_figures import data
from paper_figures.data import NothingToDraw

EVENTS = "events.jsonl"
BASE, SPEC = "base-1", "spec-1"
_HITS = ("num_ready_hits", "num_pending_hits")
_LOST = ("num_wasted", "num_cancelled", "num_failed")
_ABOUT = ("num_agents", "workload", "model", "draft", "draft_place", "noise_pct")
_COLUMNS = ("cell_id", "speculation", "latency_mean_s", "generation_s_base", *_ABOUT, *_HITS, *_LOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A task's trajectory in the baseline and beside speculation."""

    task_id: str
    base: Timeline
    spec: Timeline

    @property
    def saved_share(self) -> float:
        return 1.0 - self.spec.duration_s / self.base.duration_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The first run of each arm of a cell: its row of the cells, and the pairs to show."""

    cell: dict[str, Any]
    pairs: tuple[Pair, ...]


def load(folder: Path, *, mode: str) -> Run:
    """Return the cell to draw of the experiment `folder`. Raises NothingToDraw if none of this mode has its events."""
    cell = _cell(folder, mode)
    runs = RunFolder(folder / cell["cell_id"]).read_events()
    base, spec = ({_task(name): own for name, own in timelines_of(runs[run]).items()} for run in (BASE, SPEC))
    pairs = [Pair(task_id=task, base=base[task], spec=spec[task]) for task in sorted(base.keys() & spec.keys())]
    if not pairs:
        name = data.shown(folder / cell["cell_id"])
        raise NothingToDraw(f"{name} has no trajectory that ended in both arms; a timeline needs one. Run it again.")
    return Run(cell=cell, pairs=choose(pairs))


def files(folder: Path, *, mode: str) -> list[Path]:
    return [folder / "cells.parquet", folder / _cell(folder, mode)["cell_id"] / EVENTS]


def choose(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Return a pair with both a hit and a lost execution if there is one, else one of each kind, else any: of those
    alike, the one of median time saved."""
    hits = [pair for pair in pairs if pair.spec.num_hits]
    lost = [pair for pair in pairs if pair.spec.num_lost]
    if both := [pair for pair in hits if pair in lost]:
        return (_median(both),)
    return tuple(_median(group) for group in (hits, lost) if group) or (_median(pairs),)


def _median(pairs: Sequence[Pair]) -> Pair:
    return sorted(pairs, key=lambda pair: (pair.saved_share, pair.task_id))[len(pairs) // 2]


def _cell(folder: Path, mode: str) -> dict[str, Any]:
    """Return the row of a cell with its events: where tools take most nearly as long as a generation, of those one with
    both hits and lost executions if there is one, and of those the one whose two baselines differ least."""
    cells = data.load_cells(folder, columns=_COLUMNS)
    rows = [row for row in cells.to_dict("records") if row["speculation"] == mode]
    rows = [row for row in rows if (folder / row["cell_id"] / EVENTS).is_file()]
    if not rows:
        raise NothingToDraw(
            f"{data.shown(folder)} has no cell with speculation={mode} and its events; a timeline is drawn from both. "
            f"Run `python -m harness.run experiment={folder.name}` first."
        )
    return min(rows, key=_preference)


def _preference(row: dict[str, Any]) -> tuple[float, bool, float]:
    distance = round(abs(row["latency_mean_s"] / row["generation_s_base"] - 1.0), 1)  # alike in the blocks of a setting
    has_both = any(row[name] for name in _HITS) and any(row[name] for name in _LOST)
    return distance, not has_both, abs(row["noise_pct"])


def _task(trajectory_id: str) -> str:
    return trajectory_id.split("/", 1)[1]
