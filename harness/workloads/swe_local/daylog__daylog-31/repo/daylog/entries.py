"""Lines of a log: a moment in ISO 8601, a level, and the text."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Iterable, Iterator, Optional

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_LINE = re.compile(r"^(\S+)\s+([A-Z]+)\s+(.*)$")
_OFFSET = re.compile(r"^([+-])(\d\d):?(\d\d)$")


@dataclass(frozen=True)
class Entry:
    moment: datetime
    level: str
    text: str


def parse_offset(text: str) -> timezone:
    """Return the zone of an offset such as +01:00 or Z. Raises ValueError for another text."""
    if text in ("Z", "z"):
        return timezone.utc
    match = _OFFSET.match(text)
    if match is None:
        raise ValueError(f"{text!r} is no offset from UTC; write it as +01:00")
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return timezone(-offset if match[1] == "-" else offset)


def parse_moment(text: str) -> datetime:
    """Return a moment; with a zone if the text has one."""
    if text.endswith(("Z", "z")):
        text = text[:-1] + "+00:00"
    return datetime.fromisoformat(text)


def parse_line(line: str) -> Optional[Entry]:
    """Return the entry of a line, None for one that is empty or a comment. Raises ValueError for any other."""
    line = line.strip()
    if not line or line.startswith("#"):
        return None
    match = _LINE.match(line)
    if match is None or match[2] not in LEVELS:
        raise ValueError(f"{line!r} is no line of a log")
    return Entry(parse_moment(match[1]), match[2], match[3])


def read_entries(lines: Iterable[str], level: str = "DEBUG") -> Iterator[Entry]:
    """Yield the entries of a level or above."""
    least = LEVELS.index(level)
    for line in lines:
        entry = parse_line(line)
        if entry is not None and LEVELS.index(entry.level) >= least:
            yield entry
