"""Verdicts as rows: in words, and as places on an axis."""

from math import inf
from pathlib import Path

import pytest

from harness.claims.rules import Outcome, region_of
from harness.claims.schema import Kind, Side
from harness.claims.verdicts import verdicts
from harness.report.verdict_rows import MARGIN, WIDTH, counts, drawing, verdict_rows
from tests.harness.claims.entries import claim, evidence


def test_a_row_says_what_is_claimed_what_was_found_and_where(results: Path, ledger: Path) -> None:
    first, second = verdict_rows(verdicts(results, ledger), results)
    assert first.verdict.outcome is Outcome.REPRODUCED
    assert (first.claimed, first.records) == ("5 %, or more", "own")
    assert first.found == "11 [8.31, 13.7] %"
    assert [(each.text, each.href) for each in first.links] == [("runs/local/fig1/cells.parquet",) * 2]
    assert (second.records, second.found, second.drawing) == ("none", "", None)
    assert "4 GPUs" in second.resources


def test_counts_have_every_outcome(results: Path, ledger: Path) -> None:
    found = counts(verdicts(results, ledger))
    assert dict(found["outcomes"]) == {outcome: 0 for outcome in Outcome} | {
        Outcome.REPRODUCED: 1,
        Outcome.NOT_TESTABLE: 1,
    }
    assert (found["num_claims"], found["testable_share_of_paper"]) == (2, 0.5)


def test_on_the_axis_values_keep_their_order_and_distances() -> None:
    drawn = drawing(claim(), evidence(10.0, 14.0, 20.0))  # claimed 8 to 12, no effect 0
    assert drawn is not None and drawn.interval is not None
    unit = (WIDTH - 2 * MARGIN) / 20.0
    assert drawn.no_effect == MARGIN
    assert drawn.region == pytest.approx((MARGIN + 8 * unit, MARGIN + 12 * unit))
    assert drawn.interval == pytest.approx((MARGIN + 10 * unit, WIDTH - MARGIN))
    assert drawn.mid == pytest.approx(MARGIN + 14 * unit)


def test_a_region_without_an_end_reaches_the_end_of_the_axis() -> None:
    bound = claim(kind=Kind.bound, side=Side.at_most, no_effect=None)
    assert region_of(bound)[0] == -inf
    drawn = drawing(bound, evidence(1.0, 2.0, 3.0))
    assert drawn is not None and drawn.region[0] == 0.0 and drawn.no_effect is None


def test_a_value_without_limits_is_a_point_and_all_alike_is_the_middle() -> None:
    drawn = drawing(claim(), evidence(None, 14.0, None))
    assert drawn is not None and drawn.interval is None
    alike = drawing(claim(value=3.0, tolerance=0.0, no_effect=None, kind=Kind.absolute), evidence(3.0, 3.0, 3.0))
    assert alike is not None and alike.mid == WIDTH / 2


def test_without_a_value_there_is_nothing_to_draw() -> None:
    assert drawing(claim(), None) is None
    assert drawing(claim(), evidence(None, None, None)) is None
