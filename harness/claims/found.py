"""What evidence is, wherever it comes from."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A value with its 95 % limits (None below two blocks; equal for a count or a formula), in the unit of the claim.

    `noise_floor`: half-width of the interval that the value would have if both arms were the baseline, 0 where time is
    not measured, None where it is not known. `file` is the record, from the results folder on. `is_hit_rate_set`: the
    runs were told how often the draft is right.
    """

    low: float | None
    mid: float | None
    high: float | None
    noise_floor: float | None
    origin: str
    file: str
    is_published: bool = False
    is_hit_rate_set: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """Why there is no evidence in some place."""

    reason: str


def shown(file: Path, results: Path) -> str:
    """Return a record's path from the folder above `results`: it names no machine."""
    return f"results/{file.relative_to(results).as_posix()}"


def found_text(evidence: Evidence) -> str:
    """Return the value with its limits, in the unit of the claim."""
    if evidence.mid is None:
        return ""
    if evidence.low is None or evidence.high is None or evidence.low == evidence.high:
        return f"{evidence.mid:.4g}"
    return f"{evidence.mid:.3g} [{evidence.low:.3g}, {evidence.high:.3g}]"
