"""The verdicts as rows of the report, each with its claimed region and what was found, to be drawn on one axis."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from harness.claims.artifact import expected_text, resources_text, tolerance_text
from harness.claims.found import Evidence, found_text
from harness.claims.rules import Outcome, region_of
from harness.claims.schema import Claim, Expected
from harness.claims.verdicts import Verdict, summarise
from harness.report.links import Link, links_of

WIDTH = 100.0  # of a drawing, in its own units
MARGIN = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Places on an axis from 0 to `WIDTH`: the claimed region (from, to), no effect, the interval (from, to) and the
    value found; None of what there is not. An end that is infinite lies at the axis's end."""

    region: tuple[float, float]
    no_effect: float | None
    interval: tuple[float, float] | None
    mid: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRow:
    """A verdict in words."""

    verdict: Verdict
    records: str
    claimed: str
    found: str
    noise_floor: str
    drawing: Drawing | None
    links: list[Link]
    resources: str
    is_refutation_expected: bool


def verdict_rows(found: Sequence[Verdict], results: Path) -> list[VerdictRow]:
    return [_row(verdict, results) for verdict in found]


def counts(found: Sequence[Verdict]) -> dict[str, Any]:
    """Return the counts by outcome, of all outcomes, and the share of the paper's claims that could be tested."""
    summary = summarise(found)
    return {
        "outcomes": [(outcome, summary.counts[outcome]) for outcome in Outcome],
        "num_claims": len(found),
        "num_published": summary.num_published,
        "num_of_paper": summary.num_of_paper,
        "testable_share_of_paper": summary.testable_share_of_paper,
    }


def _row(verdict: Verdict, results: Path) -> VerdictRow:
    claim, evidence = verdict.claim, verdict.evidence
    claimed = f"{expected_text(claim, claim.unit)} {tolerance_text(claim)}".strip()
    if evidence is None:
        records = "none"
    else:
        records = "published" if evidence.is_published else "own" if _is_run(evidence) else "computed"
    floor = None if evidence is None else evidence.noise_floor
    return VerdictRow(
        verdict=verdict,
        records=records,
        claimed=claimed,
        found="" if evidence is None else f"{found_text(evidence)} {claim.unit}".strip(),
        noise_floor=f"{floor:.3g} {claim.unit}".strip() if floor else "",
        drawing=drawing(claim, evidence),
        links=[] if evidence is None else links_of(evidence.file, results),
        resources=resources_text(verdict.command),
        is_refutation_expected=claim.expected is Expected.refuted,
    )


def _is_run(evidence: Evidence) -> bool:
    """Whether the evidence is a record of a run in this checkout, and no calculation."""
    return evidence.file.startswith(("results/runs/", "results/bench/"))


def drawing(claim: Claim, evidence: Evidence | None) -> Drawing | None:
    """Return where a claim and its evidence lie on one axis; None without a value."""
    if evidence is None or evidence.mid is None:
        return None
    region = region_of(claim)
    limits = [evidence.low, evidence.mid, evidence.high]
    values = [value for value in (*region, claim.value, claim.no_effect, *limits) if value is not None]
    low, high = (end(value for value in values if isfinite(value)) for end in (min, max))
    if low == high:
        low, high = low - 1.0, high + 1.0

    def place(value: float) -> float:
        if not isfinite(value):
            return WIDTH if value > 0 else 0.0
        return round(MARGIN + (WIDTH - 2 * MARGIN) * (value - low) / (high - low), 2)

    has_interval = evidence.low is not None and evidence.high is not None
    return Drawing(
        region=(place(region[0]), place(region[1])),
        no_effect=None if claim.no_effect is None else place(claim.no_effect),
        interval=(place(evidence.low), place(evidence.high)) if has_interval else None,  # pyright: ignore[reportArgumentType]
        mid=place(evidence.mid),
    )
