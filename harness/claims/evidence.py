"""What was found for a claim: in the user's own runs, or in those that are published with the checkout."""

import json
from pathlib import Path
from typing import Any

from harness.claims import calculations
from harness.claims.cells import cells_evidence
from harness.claims.found import Absent, Evidence, shown
from harness.claims.schema import Claim, FileEvidence
from precall.errors import ConfigError

Limits = tuple[float | None, float, float | None]
"""A value between its limits: low, mid, high."""


def evidence_of(claim: Claim, results: Path) -> list[Evidence | Absent]:
    """Return what there is for a claim in the folder `results`, the user's own first, and why something is not there.
    Raises ConfigError for a record that cannot be read."""
    if claim.cells is not None:
        return cells_evidence(claim.cells, results)
    if claim.file is not None:
        return _file_evidence(claim.file, results)
    assert claim.calculation is not None, "ledger.check wants one of the three"
    calculation = calculations.CALCULATIONS[claim.calculation]
    low, high = calculation.function()
    found = Evidence(
        low=low, mid=(low + high) / 2.0, high=high, noise_floor=0.0, origin=calculation.origin, file=calculation.reads
    )
    return [found]


def _file_evidence(spec: FileEvidence, results: Path) -> list[Evidence | Absent]:
    own = results / "bench" / f"{spec.name}.json"
    published = sorted((results / "published").glob(f"*/{spec.name}.json"))
    found = [_in_file(spec, file, results) for file in (own, *published) if file.is_file()]
    return found or [Absent(reason=f"{shown(own, results)} is not there")]


def _in_file(spec: FileEvidence, file: Path, results: Path) -> Evidence | Absent:
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        what = f"{shown(file, results)} is no JSON: {error}."
        raise ConfigError(f"{what} Remove it; the target that wrote it writes it again.") from error
    for place, wanted in spec.where.items():
        value = _value_at(record, place)
        if value is None or value[1] != wanted:
            return Absent(reason=f"{shown(file, results)} has not {wanted} at {place}")
    values: dict[str, Limits] = {}
    for place in (spec.value, spec.over, spec.minus, spec.noise_floor):
        if place is not None:
            value = _value_at(record, place)
            if value is None:
                return Absent(reason=f"{shown(file, results)} has no number at {place}")
            values[place] = value
    low, mid, high = values[spec.value]
    if spec.over is not None:
        whole = values[spec.over][1]
        if whole == 0.0:
            return Absent(reason=f"{shown(file, results)} has 0 at {spec.over}")
        low, mid, high = None if low is None else low / whole, mid / whole, None if high is None else high / whole
    if spec.minus is not None:
        low, mid, high = _less((low, mid, high), values[spec.minus])
    return Evidence(
        low=low,
        mid=mid,
        high=high,
        noise_floor=0.0 if spec.noise_floor is None else values[spec.noise_floor][1],
        origin=spec.origin,
        file=shown(file, results),
        is_published=file.is_relative_to(results / "published"),
    )


def _value_at(record: Any, place: str) -> Limits | None:
    """Return the number at a place, or the three, or two limits with their middle; None where there is none of them."""
    for key in place.split("."):
        if isinstance(record, dict) and key in record:
            record = record[key]
        elif isinstance(record, list) and key.isdigit() and int(key) < len(record):
            record = record[int(key)]
        else:
            return None
    if isinstance(record, int | float):
        return record, record, record
    if isinstance(record, list) and len(record) == 3 and isinstance(record[1], int | float):
        return record[0], record[1], record[2]
    if isinstance(record, list) and len(record) == 2 and all(isinstance(limit, int | float) for limit in record):
        return record[0], (record[0] + record[1]) / 2.0, record[1]
    return None


def _less(value: Limits, other: Limits) -> Limits:
    """Return the difference. How the two vary together is not known, so its limits are the widest."""
    low = None if value[0] is None or other[2] is None else value[0] - other[2]
    high = None if value[2] is None or other[0] is None else value[2] - other[0]
    return low, value[1] - other[1], high
