"""What offline runs of W&B have left on disk."""

import json
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.harness.tracking.wandb_file import read_records

WRITTEN_S = 5.0


@dataclass(frozen=True)
class OfflineRun:
    """A run that is finished, read from its folder."""

    folder: Path

    @cached_property
    def records(self) -> list[Any]:
        """Its records. Its end is written moments after `finish` has returned."""
        (file,) = self.folder.glob("*.wandb")
        until_s = time.monotonic() + WRITTEN_S
        records = list(read_records(file))
        while not any(record.HasField("exit") for record in records) and time.monotonic() < until_s:
            time.sleep(0.02)
            records = list(read_records(file))
        return records

    @property
    def run(self) -> Any:
        """What it was opened with."""
        (run,) = [record.run for record in self.records if record.HasField("run")]
        return run

    @property
    def config(self) -> dict[str, Any]:
        return {item.key or item.nested_key[0]: json.loads(item.value_json) for item in self.run.config.update}

    @property
    def history(self) -> list[dict[str, Any]]:
        """The rows that were logged; of what is no number, by the joined names of its parts."""
        rows = [record.history.item for record in self.records if record.HasField("history")]
        return [{item.key or "|".join(item.nested_key): json.loads(item.value_json) for item in row} for row in rows]

    @property
    def summary(self) -> dict[str, Any]:
        found = [item for record in self.records if record.HasField("summary") for item in record.summary.update]
        return {item.key or "|".join(item.nested_key): json.loads(item.value_json) for item in found}

    @property
    def exit_codes(self) -> list[int]:
        return [record.exit.exit_code for record in self.records if record.HasField("exit")]

    @property
    def artifacts(self) -> dict[str, dict[str, Path]]:
        """By the artifact's type, its files: their names, and where the copies are that will be uploaded."""
        return {
            record.artifact.type: {entry.path: Path(entry.local_path) for entry in record.artifact.manifest.contents}
            for record in self.records
            if record.HasField("artifact")
        }

    def table(self, name: str) -> list[dict[str, Any]]:
        """Return the rows of a table that was logged."""
        content = json.loads((self.folder / "files" / self.summary[f"{name}|path"]).read_text(encoding="utf-8"))
        return [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]


def runs_in(folder: Path) -> list[OfflineRun]:
    """Return the offline runs below `folder`, in the order in which they were opened."""
    files = sorted((folder / "wandb").glob("offline-run-*/*.wandb"), key=lambda file: file.stat().st_ctime_ns)
    return [OfflineRun(file.parent) for file in files]
