"""CSV in and out."""

from tabula.dialect import Dialect
from tabula.reader import loads, parse
from tabula.writer import dumps, format_row

__all__ = ["Dialect", "dumps", "format_row", "loads", "parse"]
