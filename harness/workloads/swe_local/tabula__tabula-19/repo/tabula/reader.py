"""Reads CSV (RFC 4180), one character after the other."""

from typing import Dict, Iterator, List

from tabula.dialect import Dialect


def parse(text: str, dialect: Dialect = Dialect()) -> Iterator[List[str]]:
    """Yield the records of a text. Empty lines are skipped; blanks around a field count only inside quotes.

    Raises ValueError for quotes that are not closed, and for text behind closing quotes.
    """
    record: List[str] = []
    field: List[str] = []
    is_quoted = was_quoted = False
    position = 0
    while position <= len(text):
        sign = text[position] if position < len(text) else ""
        following = text[position + 1 : position + 2]
        if is_quoted:
            if sign == "":
                raise ValueError("the text ends inside quotes")
            if sign == dialect.quote and following == dialect.quote:
                field.append(sign)
                position += 1
            elif sign == dialect.quote:
                is_quoted = False
            else:
                field.append(sign)
        elif sign == dialect.quote and not "".join(field).strip() and not was_quoted:
            field.clear()
            is_quoted = was_quoted = True
        elif sign in (dialect.delimiter, "\n", ""):
            record.append("".join(field) if was_quoted else "".join(field).strip())
            if sign != dialect.delimiter:
                if record != [""] or was_quoted:
                    yield record
                record = []
            field, was_quoted = [], False
        elif was_quoted:
            if not sign.isspace():
                raise ValueError(f"{sign!r} stands behind closing quotes")
        else:
            field.append(sign)
        position += 1


def loads(text: str, dialect: Dialect = Dialect()) -> List[Dict[str, str]]:
    """Return the rows of a text with a header. Raises ValueError for a row of another length."""
    records = parse(text, dialect)
    header = next(records, None)
    if header is None:
        return []
    rows = []
    for number, record in enumerate(records, start=1):
        if len(record) != len(header):
            raise ValueError(f"row {number} has {len(record)} fields; the header has {len(header)}")
        rows.append(dict(zip(header, record)))
    return rows
