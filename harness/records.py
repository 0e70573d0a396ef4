"""Run folders: what a cell leaves on disk. The manifest is written last; a folder without one is not a result."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from harness.schema import Config
from harness.sweep import RECORD_VERSION
from precall.errors import ConfigError
from precall.events import Event, EventKind

MANIFEST = "manifest.json"
MIN_FREE_BYTES = 200 * 2**20


class RunFolder:
    """One folder under results/runs. `begin` empties what an unfinished run has left; a finished one is never
    touched."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def manifest(self) -> dict[str, Any] | None:
        """The manifest, or None while there is none."""
        file = self.path / MANIFEST
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None

    @property
    def is_finished(self) -> bool:
        manifest = self.manifest
        return manifest is not None and manifest["status"] == "finished"

    def begin(self, config: Config, provenance: dict[str, Any]) -> None:
        assert not self.is_finished, f"{self.path} holds a finished run"
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)
        OmegaConf.save(OmegaConf.structured(config), self.path / "config.yaml")
        self.write_json("provenance.json", provenance)

    def append_events(self, arm: str, events: Iterable[Event]) -> None:
        """Append the events of one arm's run, one JSON object a line."""
        with (self.path / "events.jsonl").open("a", encoding="utf-8") as file:
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
        (self.path / name).write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")

    def read_json(self, name: str) -> Any:
        return json.loads((self.path / name).read_text(encoding="utf-8"))

    def finish(self, status: str, error: str | None = None) -> None:
        """Write the manifest: `status` finished or failed, and what ended a failed run."""
        manifest = {
            "record_version": RECORD_VERSION,
            "status": status,
            "error": error,
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "files": sorted(entry.name for entry in self.path.iterdir()),
        }
        partial = self.path / f"{MANIFEST}.partial"
        partial.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        partial.replace(self.path / MANIFEST)


def check_space(path: Path) -> None:
    """Make the folder `path`. Raises ConfigError when that fails or too little space is left for results."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        num_free = shutil.disk_usage(path).free
        probe = path / ".probe"
        probe.write_text("x")
        probe.unlink()
    except OSError as error:
        raise ConfigError(f"output is {path}; nothing can be written there: {error}. Choose another folder.") from error
    if num_free < MIN_FREE_BYTES:
        raise ConfigError(
            f"output is {path}, where {num_free / 2**20:.0f} MiB are free; "
            f"results need {MIN_FREE_BYTES / 2**20:.0f} MiB. Free some space, or choose another folder with output=..."
        )
