"""The tables of the report, as its script reads them: columns, and rows of values in their order."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.report.links import Link

Table = dict[str, Any]
"""`columns` and `rows`; what is left out, if anything, is said in `note`."""

MAX_ROWS = 20_000
_NUMBERS = (int, float)

Row = Mapping[Any, Any]
"""Values by the keys of columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column. `kind` is text, number, interval ([low, mid, high]) or link ([text, href]). Numbers have `digits` after
    the point, or five that count where it is None. The reader filters by columns with `is_choice`; those not `is_main`
    are shown on demand."""

    key: str
    label: str
    kind: str = "text"
    digits: int | None = 0
    is_choice: bool = False
    is_main: bool = True


def table(columns: Sequence[Column], rows: Iterable[Row], *, num_left_out: int = 0) -> Table:
    """Return a table of `rows` by the columns' keys; what a row does not have, or is no number, is null."""
    kept = [[_plain(row.get(column.key)) for column in columns] for row in rows]
    if len(kept) > MAX_ROWS:
        num_left_out += len(kept) - MAX_ROWS
        kept = kept[:MAX_ROWS]
    note = f"{num_left_out} more rows are in the records, not on this page." if num_left_out else ""
    return {"columns": [asdict(column) for column in columns], "rows": kept, "note": note}


def csv_table(file: Path) -> Table:
    """Return a table of results/paper, whose first line is a comment."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    rows = [{name: _number(value) for name, value in row.items()} for row in csv.DictReader(lines)]
    return _guessed(rows)


def bench_table(file: Path) -> Table:
    """Return the rows of a bench's record if it has any, else its values by their places."""
    record = json.loads(file.read_text(encoding="utf-8"))
    for name in ("rows", "settings"):
        rows = record.get(name)
        if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
            return _guessed([dict(_flat(row)) for row in rows])
    values = [{"place": place, "value": value} for place, value in _flat(record) if not place.startswith("provenance")]
    return _guessed(values)


def frame_rows(frame: pd.DataFrame) -> Sequence[Row]:
    return frame.to_dict("records")


def _guessed(rows: Sequence[Row]) -> Table:
    """Return a table whose columns are those that the rows have."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = []
    for name in names:
        values = [row.get(name) for row in rows]
        is_number = all(
            value is None or (isinstance(value, _NUMBERS) and not isinstance(value, bool)) for value in values
        )
        columns.append(Column(key=str(name), label=str(name), kind="number" if is_number else "text", digits=None))
    return table(columns, rows)


def _flat(record: Any, place: str = "") -> Iterable[tuple[str, Any]]:
    """Yield the values of a nested record with their places, keys with dots between them; a list is one value."""
    if isinstance(record, dict):
        for key, value in record.items():
            yield from _flat(value, f"{place}.{key}" if place else str(key))
    else:
        yield place, json.dumps(record) if isinstance(record, list) else record


def _plain(value: Any) -> Any:
    if isinstance(value, Link):
        return [value.text, value.href]
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, _NUMBERS) or hasattr(value, "item"):
        number = float(value)
        return None if number != number else int(number) if number.is_integer() else number  # noqa: PLR0124 - NaN
    return str(value)


def _number(value: str) -> Any:
    try:
        return float(value)
    except ValueError:
        return value
