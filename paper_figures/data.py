"""Reads the evidence that figures draw: our cells and the published numbers. Nothing else opens a file of results."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from precall.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
ORIGINS = ("measured", "replayed", "modelled")
_KEY_COLUMNS = ("setting", "block", "origin")


def load_cells(path: Path, *, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Return the cells of the experiment folder `path`: one row is one block of one setting.

    `columns` are those the figure cannot do without; each must be there, and measured in every row.
    Raises ConfigError if there is nothing to draw or a row cannot be told from another.
    """
    file = Path(path) / "cells.parquet"
    name = shown(file)
    if not file.is_file():
        raise ConfigError(f"{name} is missing; a figure draws recorded cells only. Run `make reproduce` first.")
    cells = pd.read_parquet(file)
    needed = dict.fromkeys((*_KEY_COLUMNS, *columns))
    if missing := [column for column in needed if column not in cells.columns]:
        raise ConfigError(f"{name} lacks the columns {missing}; the figure needs them. Run `make reproduce` again.")
    if cells.empty:
        raise ConfigError(f"{name} has 0 rows; a figure needs at least 1. Run `make reproduce` first.")
    if unmeasured := [column for column in needed if cells[column].hasnans]:
        raise ConfigError(
            f"{name} has rows without a value in {unmeasured}; the figure needs one in each. "
            "Run `make reproduce` again, it fills in the cells that did not finish."
        )
    if unknown := sorted(set(cells["origin"]) - set(ORIGINS)):
        raise ConfigError(f"{name} has the origins {unknown}; they must be among {list(ORIGINS)}. Correct the records.")
    repeated = cells.loc[cells.duplicated(["setting", "block"]), "setting"].unique().tolist()
    if repeated:
        raise ConfigError(f"{name} holds a block of {repeated} twice; blocks must differ. Remove the folder and rerun.")
    return cells.sort_values(["setting", "block"], ignore_index=True)


def load_bench(file: Path, *, target: str) -> dict[str, Any]:
    """Return the object that a bench has left in `file`; `target` is the command that makes it. Raises ConfigError
    where there is none."""
    if not Path(file).is_file():
        raise ConfigError(f"{shown(file)} is missing; run `{target}` first.")
    return json.loads(Path(file).read_text(encoding="utf-8"))


def load_paper(name: str) -> pd.DataFrame:
    """Return the published numbers of results/paper/`name`.csv, read off the paper's figure."""
    file = paper_file(name)
    if not file.is_file():
        known = sorted(found.stem for found in file.parent.glob("*.csv"))
        raise ConfigError(f"{shown(file)} is missing; the published numbers are {known}. Check out results/paper.")
    return pd.read_csv(file, comment="#")


def paper_file(name: str) -> Path:
    """Return the path of the published numbers `name`, whether or not they are there."""
    return RESULTS / "paper" / f"{name}.csv"


def identity(*files: Path) -> dict[str, object]:
    """Return {file: SHA-256 of its bytes}: what a figure's metadata says of its data."""
    return {shown(file): hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files}


def shown(path: Path) -> str:
    """Return `path` from the checkout's root, or its last two parts if it lies elsewhere: figures name no machine."""
    path = Path(path).resolve()
    return (path.relative_to(ROOT) if path.is_relative_to(ROOT) else Path(*path.parts[-2:])).as_posix()
