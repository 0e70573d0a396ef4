"""Reads what figures draw: our cells, benches and runs, and the published numbers. Nothing else opens a file of
results.

    ConfigError
        NothingToDraw    there is nothing that the figure could draw: run something first
"""

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


class NothingToDraw(ConfigError):
    """A file is missing, or lacks what the figure needs. The message says what to run."""


def load_cells(path: Path, *, columns: Sequence[str] = (), command: str | None = None) -> pd.DataFrame:
    """Return the cells of the folder `path`: one row is one block of one setting.

    `columns` are those the figure cannot do without; each must be there, and measured in every row. `command` makes
    them; by default that of the experiment with the folder's name.
    Raises NothingToDraw if there is nothing to draw, and ConfigError if a row cannot be told from another.
    """
    file = Path(path) / "cells.parquet"
    name, command = shown(file), f"`{command or f'python -m harness.run experiment={Path(path).name}'}`"
    if not file.is_file():
        raise NothingToDraw(f"{name} is missing; a figure draws recorded cells only. Run {command} first.")
    cells = pd.read_parquet(file)
    needed = dict.fromkeys((*_KEY_COLUMNS, *columns))
    if missing := [column for column in needed if column not in cells.columns]:
        raise NothingToDraw(f"{name} lacks the columns {missing}; the figure needs them. Run {command} again.")
    if cells.empty:
        raise NothingToDraw(f"{name} has 0 rows; a figure needs at least 1. Run {command} first.")
    if unmeasured := [column for column in needed if cells[column].hasnans]:
        raise NothingToDraw(
            f"{name} has rows without a value in {unmeasured}; the figure needs one in each. "
            f"Run {command} again, it fills in the cells that did not finish."
        )
    if unknown := sorted(set(cells["origin"]) - set(ORIGINS)):
        raise ConfigError(f"{name} has the origins {unknown}; they must be among {list(ORIGINS)}. Correct the records.")
    repeated = cells.loc[cells.duplicated(["setting", "block"]), "setting"].unique().tolist()
    if repeated:
        raise ConfigError(f"{name} holds a block of {repeated} twice; blocks must differ. Remove the folder and rerun.")
    return cells.sort_values(["setting", "block"], ignore_index=True)


def check_alike(cells: pd.DataFrame, columns: Sequence[str], *, may_differ: str) -> None:
    """Raise ConfigError unless every one of `columns` has one value in all cells; `may_differ` says in words what
    need not be the same."""
    differing = [column for column in columns if len(cells[column].unique()) > 1]
    if differing:
        raise ConfigError(
            f"the cells differ in {', '.join(differing)}; they may differ in {may_differ} alone. Draw each experiment "
            "from its own folder."
        )


def load_bench(file: Path, *, command: str, keys: Sequence[str] = ()) -> dict[str, Any]:
    """Return what a bench has kept in `file`; `command` makes one. Raises NothingToDraw if there is none, or it lacks
    one of `keys`, as one in an older form does."""
    if not file.is_file():
        raise NothingToDraw(f"{shown(file)} is missing; a figure draws recorded benches only. Run `{command}` first.")
    kept = json.loads(file.read_text(encoding="utf-8"))
    if missing := [key for key in keys if key not in kept]:
        raise NothingToDraw(f"{shown(file)} lacks {missing}; the figure needs them. Run `{command}` again.")
    return kept


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
