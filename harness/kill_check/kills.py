"""Kills a sweep at random moments, with all its processes, and starts it again."""

import os
import random
import signal
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from harness.records import MANIFEST, RUNNING

POLL_S = 0.002
GONE_S = 30.0
"""Until what is killed has left the machine: servers are ended by their supervisor, which sees it."""


class Process(Protocol):
    """A sweep that runs, the leader of a process group of its own."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; None while it runs."""
        ...

    def wait(self) -> int: ...


Start = Callable[[], Process]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """What was there when the sweep was killed: cells that were finished, and whether a run of one was abandoned; the
    manifests by cell; what of its processes outlived it by `GONE_S`."""

    num_finished: int
    has_abandoned: bool
    manifests: dict[str, bytes]
    outlived_by: tuple[str, ...]


def moments(num_kills: int, num_cells: int, rng: random.Random) -> list[float]:
    """Return when to kill, in cells: 2.5 is half a cell's time after the second has finished. They are drawn uniformly
    over the sweep, and are in order."""
    return sorted(rng.uniform(0.0, num_cells - 0.5) for _ in range(num_kills))


def finished_cells(output: Path, cells: Collection[str]) -> dict[str, bytes]:
    """Return the manifests of those of `cells` that have one, by cell."""
    return {name: file.read_bytes() for name in cells if (file := output / name / MANIFEST).is_file()}


def kill_at(start: Start, output: Path, cells: Collection[str], moment: float, cell_s: float) -> Kill | None:
    """Start the sweep and kill it at `moment`, where a cell takes `cell_s`. Returns None where it ends before."""
    process = start()
    while len(finished_cells(output, cells)) < int(moment):
        if process.poll() is not None:
            return None
        time.sleep(POLL_S)
    time.sleep(moment % 1.0 * cell_s)
    if process.poll() is not None:
        return None
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(family, timeout=GONE_S)
    manifests = finished_cells(output, cells)
    return Kill(
        num_finished=len(manifests),
        has_abandoned=any(name in cells for name in abandoned(output)),
        manifests=manifests,
        outlived_by=tuple(name_of(each) for each in alive),
    )


def abandoned(output: Path) -> set[str]:
    """Return the run folders of which something has begun and neither finished nor been cleared."""
    return {entry.name.split("@")[0] for entry in _entries(output / RUNNING) if "@" in entry.name}


def name_of(process: psutil.Process) -> str:
    try:
        return f"{process.name()} ({process.pid})"
    except psutil.NoSuchProcess:
        return str(process.pid)


def _entries(folder: Path) -> Iterable[os.DirEntry[str]]:
    return os.scandir(folder) if folder.is_dir() else ()
