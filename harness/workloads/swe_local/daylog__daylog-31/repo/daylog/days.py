"""Counts entries of a log by the day on which they happened, where the reader lives."""

from collections import Counter
from datetime import date, datetime, timedelta, tzinfo
from typing import Dict, Iterable, List, Tuple

from daylog.entries import Entry


def day_of(moment: datetime, zone: tzinfo) -> date:
    """Return the day of a moment in the reader's zone. One without a zone is taken as the reader's own."""
    if moment.tzinfo is None:
        return moment.date()
    return moment.replace(tzinfo=zone).date()


def count_by_day(entries: Iterable[Entry], zone: tzinfo) -> Dict[date, int]:
    """Return the number of entries of each day from the first to the last, days without any included."""
    counts = Counter(day_of(entry.moment, zone) for entry in entries)
    if not counts:
        return {}
    first, last = min(counts), max(counts)
    days = [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
    return {day: counts[day] for day in days}


def busiest_day(entries: Iterable[Entry], zone: tzinfo) -> Tuple[date, int]:
    """Return the day with the most entries, the earliest of several. Raises ValueError when there is no entry."""
    counts = count_by_day(entries, zone)
    if not counts:
        raise ValueError("the log is empty")
    day = max(counts, key=lambda each: (counts[each], -each.toordinal()))
    return day, counts[day]


def on_day(entries: Iterable[Entry], day: date, zone: tzinfo) -> List[Entry]:
    """Return the entries of one day, in the order in which they happened."""
    return sorted((e for e in entries if day_of(e.moment, zone) == day), key=lambda e: e.moment)
