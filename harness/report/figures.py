"""The figures in results/figures as the report shows them: the picture, what its metadata say, and the data behind."""

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from harness.report.links import Link, link, whose

MAX_DATA_BYTES = 2 * 2**20
"""A larger record is linked only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A record that a figure was drawn from. `kind` says how the page shows it: the `cells` of a folder, a `paper`
    file, a `bench`, or a `link` alone. `has_changed`: its digest is not the one in the figure any more."""

    link: Link
    name: str
    kind: str
    has_changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureShown:
    """A figure. `given` are values that it was drawn from beside files; `records`: whose records they are."""

    name: str
    shows: str
    origin: str
    command: str
    records: str
    uri: str
    width: int
    height: int
    files: list[DataFile]
    given: dict[str, Any]


def figures_in(results: Path) -> list[FigureShown]:
    """Return the figures that were drawn, those of the paper first. Pictures of anybody else are passed over."""
    files = sorted((results / "figures").glob("*.png"), key=lambda file: (not file.stem.startswith("fig"), file.stem))
    return [shown for file in files if (shown := _figure(file, results)) is not None]


def _figure(file: Path, results: Path) -> FigureShown | None:
    with Image.open(file) as picture:
        text: dict[str, str] = dict(getattr(picture, "text", {}))
        width, height = picture.size
    if not {"Title", "Command", "Data"} <= text.keys():
        return None
    identity = json.loads(text["Data"])
    files = [_data_file(name, digest, results) for name, digest in identity.items() if name.startswith("results/")]
    owners = {whose(results / data.name.removeprefix("results/"), results) for data in files if data.kind != "paper"}
    return FigureShown(
        name=text["Title"],
        shows=text.get("Description", ""),
        origin=text.get("Origin", "not recorded"),
        command=text["Command"],
        records=" and ".join(sorted(owners)) or "computed",
        uri="data:image/png;base64," + base64.b64encode(file.read_bytes()).decode(),
        width=width,
        height=height,
        files=files,
        given={name: value for name, value in identity.items() if not name.startswith("results/")},
    )


def _data_file(name: str, digest: str, results: Path) -> DataFile:
    path = results / name.removeprefix("results/")
    has_changed = not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest
    return DataFile(link=link(path, results, text=name), name=name, kind=_kind(path), has_changed=has_changed)


def _kind(path: Path) -> str:
    if not path.is_file() or path.stat().st_size > MAX_DATA_BYTES:
        return "link"
    if path.name == "cells.parquet":
        return "cells"
    return {".csv": "paper", ".json": "bench"}.get(path.suffix, "link")
