"""How far a sweep is, from what its cells have left on disk: which are done, which run now, and how long the rest will
take. Any process on any machine that sees the folders can say it."""

import os
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from harness.records import RUNNING
from harness.sweep import Cell


class Pace:
    """How long cells take, and so how long those that are to come will: as long as those of their setting, else as all
    others."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, float]] = {}  # by setting: how many, and their seconds together
        self._num = 0
        self._total_s = 0.0

    def add(self, cell: Cell, duration_s: float | None) -> None:
        """Count a finished cell; one whose duration nobody has kept says nothing."""
        if duration_s is not None:
            num, total_s = self._known.get(cell.setting_id, (0, 0.0))
            self._known[cell.setting_id] = (num + 1, total_s + duration_s)
            self._num += 1
            self._total_s += duration_s

    def cell_s(self, setting_id: str) -> float | None:
        """Return the seconds of a cell of this setting, None while no cell is finished."""
        num, total_s = self._known.get(setting_id, (self._num, self._total_s))
        return total_s / num if num else None

    def left_s(self, missing: Mapping[str, int]) -> float | None:
        """Return the seconds of so many cells by setting, one after the other; None while no cell is finished."""
        return sum(num * (self.cell_s(key) or 0.0) for key, num in missing.items()) if self._num else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A run of a folder that has not ended: its name, the process that runs it, the Slurm job that is in (empty: none)
    and since when."""

    name: str
    host: str
    pid: int
    job_id: str
    started_at: datetime

    def __str__(self) -> str:
        where = f"job {self.job_id} on {self.host}" if self.job_id else f"process {self.pid} on {self.host}"
        minutes = (datetime.now(UTC) - self.started_at).total_seconds() / 60
        return f"{self.name} ({where}, for {minutes:.0f} min)"


def attempts_in(output: Path, names: Collection[str] | None = None) -> list[Attempt]:
    """Return the runs in `output` (of the folders `names`; None: of all) that have begun and not ended. One that was
    killed on this machine is left out; of other machines nobody can tell from here."""
    found = []
    try:
        entries = sorted(os.scandir(output / RUNNING), key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
    for entry in entries:
        name, *owner = entry.name.rsplit("@", 3)
        if len(owner) < 3 or (names is not None and name not in names):
            continue
        host, pid, job_id = owner
        if host == socket.gethostname() and not psutil.pid_exists(int(pid)):
            continue
        try:
            started_s = (Path(entry.path) / "provenance.json").stat().st_mtime
        except FileNotFoundError:  # it begins or ends just now
            continue
        started_at = datetime.fromtimestamp(started_s, UTC)
        found.append(Attempt(name=name, host=host, pid=int(pid), job_id=job_id, started_at=started_at))
    return found
