"""Summaries of log files by day."""

from daylog.days import busiest_day, count_by_day, day_of, on_day
from daylog.entries import Entry, parse_line, parse_offset, read_entries

__all__ = ["Entry", "busiest_day", "count_by_day", "day_of", "on_day", "parse_line", "parse_offset", "read_entries"]
