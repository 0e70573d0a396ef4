"""Run folders: what a cell leaves on disk. A run writes in a folder of its own under `running/`, the manifest last, and
only then, in one step, gives it the name under which results are looked for; a folder without a manifest is no result.

So a run that is killed leaves nothing under that name, and of two runs of one cell the second cannot take it.
"""

import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any

import yaml

from harness.metrics.comparison import MeasurementError
from harness.schema import Config, to_plain
from harness.versions import RECORD_VERSION, versions_of
from precall.errors import ConfigError
from precall.events import Event, EventKind

MANIFEST = "manifest.json"
RUNNING = "running"
MIN_FREE_BYTES = 200 * 2**20
NUM_READERS = 8
"""Threads that read manifests: on the file system of a cluster each open takes a millisecond."""


class RunFolder:
    """One folder under results/runs. `begin` starts a run of it, which writes in `work` until `finish`; a finished one
    is never touched."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._attempt: Path | None = None
        self._versions: dict[str, str] = {}
        self._begun_s = 0.0

    @property
    def work(self) -> Path:
        """Where this process's run writes; without one, the folder itself."""
        return self.path if self._attempt is None else self._attempt

    @property
    def manifest(self) -> dict[str, Any] | None:
        """The manifest, or None while there is none."""
        try:
            return json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None

    @property
    def is_finished(self) -> bool:
        manifest = self.manifest
        return manifest is not None and manifest["status"] == "finished"

    def begin(self, config: Config, provenance: dict[str, Any]) -> None:
        """Start a run, whose lock this process holds (harness/locks.py). What is left of earlier ones that have failed
        or were killed is removed."""
        assert not self.is_finished, f"{self.path} holds a finished run"
        running = self.path.parent / RUNNING
        running.mkdir(parents=True, exist_ok=True)
        for left in running.iterdir():
            if left.name.startswith(f"{self.path.name}@"):
                shutil.rmtree(left, ignore_errors=True)
        shutil.rmtree(self.path, ignore_errors=True)
        owner = f"{socket.gethostname()}@{os.getpid()}@{os.environ.get('SLURM_JOB_ID', '')}"
        self._attempt = running / f"{self.path.name}@{owner}"
        self._attempt.mkdir()
        self._begun_s = time.monotonic()
        self._versions = versions_of(config)
        # Not OmegaConf.save: of a simulated cell it would take half the time.
        text = yaml.dump(to_plain(config), Dumper=yaml.CSafeDumper, sort_keys=False)
        (self.work / "config.yaml").write_text(text, encoding="utf-8")
        self.write_json("provenance.json", provenance)

    def append_events(self, arm: str, events: Iterable[Event]) -> None:
        """Append the events of one arm's run, one JSON object a line."""
        with (self.work / "events.jsonl").open("a", encoding="utf-8") as file:
            for event in events:
                file.write(json.dumps({"arm": arm, **asdict(event)}) + "\n")

    def read_events(self) -> dict[str, list[Event]]:
        """Return the events per arm's run, in the order of the runs."""
        runs: dict[str, list[Event]] = {}
        with (self.path / "events.jsonl").open(encoding="utf-8") as file:
            for line in file:
                fields = json.loads(line)
                run = runs.setdefault(fields.pop("arm"), [])
                run.append(Event(**{**fields, "kind": EventKind(fields["kind"])}))
        return runs

    def write_json(self, name: str, value: Any) -> None:
        (self.work / name).write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")

    def read_json(self, name: str) -> Any:
        return json.loads((self.path / name).read_text(encoding="utf-8"))

    def finish(self, status: str, error: str | None = None) -> None:
        """End the run that `begin` started: write the manifest (`status` finished or failed, and what ended a failed
        run), and give the folder its name.

        Raises MeasurementError, and keeps what is there, where another process has finished the same run meanwhile.
        """
        assert self._attempt is not None, f"{self.path} has not been begun"
        manifest = {
            "record_version": RECORD_VERSION,
            "versions": self._versions,
            "status": status,
            "error": error,
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "duration_s": round(time.monotonic() - self._begun_s, 3),
            "files": sorted(entry.name for entry in self._attempt.iterdir()),
        }
        self.write_json(MANIFEST, manifest)
        attempt, self._attempt = self._attempt, None
        try:
            attempt.rename(self.path)  # which fails where there is a folder of that name
        except OSError:
            if not self.is_finished:
                raise
            shutil.rmtree(attempt, ignore_errors=True)
            raise MeasurementError(
                f"{self.path} was finished by another process while this one ran it, too; each is run once. The locks "
                "of this file system do not reach from one machine to the other: see docs/cluster.md."
            ) from None


def manifests_in(output: Path) -> dict[str, dict[str, Any]]:
    """Return the manifests of all run folders in `output`, by the folder's name."""
    try:
        names = [entry.name for entry in os.scandir(output) if entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return {}
    with ThreadPoolExecutor(NUM_READERS) as readers:
        found = readers.map(lambda name: RunFolder(output / name).manifest, names)
        return {name: manifest for name, manifest in zip(names, found, strict=True) if manifest is not None}


def check_space(path: Path) -> None:
    """Make the folder `path`. Raises ConfigError when that fails, nothing can be locked there, or too little space is
    left for results."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        num_free = shutil.disk_usage(path).free
        with tempfile.TemporaryFile(dir=path) as probe:
            lock_error = _lock_error(probe.fileno())
    except OSError as error:
        raise ConfigError(f"output is {path}; nothing can be written there: {error}. Choose another folder.") from error
    if lock_error is not None:
        raise ConfigError(
            f"output is {path}, whose file system has no locks ({lock_error}); processes that share a folder need "
            "them. Have it mounted with locks, or choose a folder on another: docs/cluster.md."
        )
    if num_free < MIN_FREE_BYTES:
        raise ConfigError(
            f"output is {path}, where {num_free / 2**20:.0f} MiB are free; "
            f"results need {MIN_FREE_BYTES / 2**20:.0f} MiB. Free some space, or choose another folder with output=..."
        )


def _lock_error(descriptor: int) -> OSError | None:
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
    except OSError as error:
        return error
    return None
