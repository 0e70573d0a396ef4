"""Writes CSV (RFC 4180)."""

from typing import Any, Iterable, Mapping, Optional, Sequence

from tabula.dialect import Dialect


def format_field(value: Any, dialect: Dialect) -> str:
    """Return a value as a field, in quotes where a reader would not get it back otherwise."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value)
    if dialect.delimiter in text:
        return dialect.quote + text + dialect.quote
    return text


def format_row(values: Iterable[Any], dialect: Dialect = Dialect()) -> str:
    """Return a record, with its line end."""
    fields = [format_field(value, dialect) for value in values]
    if fields == [""]:
        fields = [dialect.quote * 2]  # or the record would be an empty line, which readers skip
    return dialect.delimiter.join(fields) + dialect.line_end


def dumps(
    rows: Iterable[Mapping[str, Any]], columns: Optional[Sequence[str]] = None, dialect: Dialect = Dialect()
) -> str:
    """Return rows as CSV with a header. Without `columns` they are those of the first row."""
    rows = list(rows)
    if columns is None:
        columns = list(rows[0]) if rows else []
    lines = [format_row(columns, dialect)] if columns else []
    for number, row in enumerate(rows, start=1):
        unknown = set(row) - set(columns)
        if unknown:
            raise ValueError(f"row {number} has the unknown column {sorted(unknown)[0]!r}")
        lines.append(format_row([row.get(column) for column in columns], dialect))
    return "".join(lines)
