"""Links from the report to raw records: paths from results/ on, where the report lies."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

_PLACES = ("runs", "published")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A record and where it is; `href` is None where nothing is there."""

    text: str
    href: str | None


def link(path: Path, results: Path, text: str | None = None) -> Link:
    """Return the link to a file or folder below `results`, by default called by its path from there on."""
    name = path.relative_to(results).as_posix()
    if not path.exists():
        return Link(text=text or name, href=None)
    return Link(text=text or name, href=quote(name) + ("/" if path.is_dir() else ""))


def links_of(record: str, results: Path) -> list[Link]:
    """Return the links of what a verdict calls its record: paths from the checkout on, with `and` between them."""
    return [_of_record(name, results) for name in record.split(" and ")]


def _of_record(name: str, results: Path) -> Link:
    if not name.startswith("results/"):
        return Link(text=name, href=None)
    return link(results / name.removeprefix("results/"), results)


def is_published(path: Path, results: Path) -> bool:
    """Whether a record came with the checkout."""
    return path.is_relative_to(results / "published")


def whose(path: Path, results: Path) -> str:
    """Return whose record it is, in a word."""
    return "published" if is_published(path, results) else "own"


def folders_of_cells(results: Path) -> list[Path]:
    """Return the folders with a table of cells: own ones first, then the published ones."""
    return [file.parent for place in _PLACES for file in sorted(results.glob(f"{place}/*/*/cells.parquet"))]


def run_folders(results: Path, having: str) -> list[Path]:
    """Return the run folders that have a file of this name: own ones first, then the published ones."""
    return [file.parent for place in _PLACES for file in sorted(results.glob(f"{place}/*/*/*/{having}"))]
