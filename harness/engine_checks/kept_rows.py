"""Rows of a bench's finished blocks, kept while it runs: an interrupted bench, run again, measures the rest only."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.bench import FOLDER
from harness.provenance import ROOT

SOURCES = ("precall", "agents", "harness", "requirements", "conf")
SUFFIXES = (".py", ".txt", ".yaml", ".jinja")

Row = dict[str, Any]


class KeptRows:
    """Blocks of rows in results/bench/NAME.rows.jsonl, each under a key.

    Rows of other code, settings or lock files are not mixed in: the first line holds a digest of all sources, and a
    file with another one is begun anew. A last line that was cut off is measured again.
    """

    def __init__(self, name: str, folder: Path = FOLDER, code: str | None = None) -> None:
        self.path = folder / f"{name}.rows.jsonl"
        self._header = json.dumps({"code": digest_of_sources() if code is None else code})
        self._blocks: dict[str, list[Row]] = {}
        lines = self.path.read_text(encoding="utf-8").split("\n")[:-1] if self.path.exists() else []
        if lines[:1] != [self._header]:
            lines = [self._header]
        for line in lines[1:]:
            block = json.loads(line)
            self._blocks[_text(block["key"])] = block["rows"]
        folder.mkdir(parents=True, exist_ok=True)
        self.path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def __len__(self) -> int:
        return len(self._blocks)

    def find(self, key: Mapping[str, Any]) -> list[Row] | None:
        """Return the rows of a finished block, None for one that is still to be measured."""
        return self._blocks.get(_text(key))

    def add(self, key: Mapping[str, Any], rows: list[Row]) -> None:
        """Keep the rows of a block that has just finished."""
        self._blocks[_text(key)] = rows
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": dict(key), "rows": rows}) + "\n")

    def drop(self) -> None:
        """Remove the file: its rows have become a result."""
        self.path.unlink()


def digest_of_sources() -> str:
    """Return a digest of everything in the checkout that a measurement depends on."""
    digest = hashlib.sha256()
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _text(key: Mapping[str, Any]) -> str:
    return json.dumps(dict(key), sort_keys=True)
