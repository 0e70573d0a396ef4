"""What the head of the report says of the records: how many there are, of which days and commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.report.environment import Record, commit_text
from harness.report.links import whose

MAX_COMMITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """The records of one owner; days are UTC, empty where no record has one."""

    owner: str
    num_records: int
    first_day: str
    last_day: str
    commits: str


def extents(records: Sequence[Record], results: Path) -> list[Extent]:
    """Return what there is of one's own, then what came with the checkout."""
    return [_extent(owner, [r for r in records if whose(r.path, results) == owner]) for owner in ("own", "published")]


def _extent(owner: str, records: Sequence[Record]) -> Extent:
    days = sorted(str(each.provenance["started_at"])[:10] for each in records if each.provenance.get("started_at"))
    commits = list(dict.fromkeys(commit_text(each.provenance) for each in records if each.provenance))
    left = len(commits) - MAX_COMMITS
    return Extent(
        owner=owner,
        num_records=len(records),
        first_day=days[0] if days else "",
        last_day=days[-1] if days else "",
        commits=", ".join(commits[:MAX_COMMITS]) + (f" and {left} more" if left > 0 else ""),
    )
