"""The rules of the verdicts, each at its edges."""

import pytest

from harness.claims.rules import Outcome, judge, region_of
from harness.claims.schema import Claimant, Expected, Kind, Side, ValueFrom
from tests.harness.claims.entries import claim, evidence

JUST = 1e-9
REPRODUCED, DIRECTION, NOT, OPEN = (
    Outcome.REPRODUCED,
    Outcome.DIRECTION_ONLY,
    Outcome.NOT_REPRODUCED,
    Outcome.NOT_TESTABLE,
)


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (JUST, 8.0, REPRODUCED),  # it meets the region at its end, and is just off no effect
        (JUST, 8.0 - JUST, DIRECTION),
        (0.0, 8.0, OPEN),  # no effect is in the interval, and so is the claim
        (0.0, 8.0 - JUST, NOT),
        (-5.0, -1.0, NOT),
        (-5.0, 20.0, OPEN),
        (12.0, 20.0, REPRODUCED),
        (12.0 + JUST, 20.0, DIRECTION),
    ],
)
def test_a_size_is_reproduced_where_the_interval_meets_it_and_excludes_no_effect(low, high, outcome):
    assert judge(claim(), evidence(low, (low + high) / 2.0, high))[0] is outcome


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.8, 0.9, REPRODUCED),
        (0.92, 1.0 - JUST, REPRODUCED),
        (0.92 + JUST, 1.0 - JUST, DIRECTION),
        (0.92, 1.0, OPEN),
        (0.92 + JUST, 1.0, NOT),
        (0.7, 0.88 - JUST, DIRECTION),
        (1.1, 1.2, NOT),
    ],
)
def test_a_size_below_no_effect_is_judged_on_that_side(low, high, outcome):
    below = claim(value=0.9, tolerance=0.02, no_effect=1.0)
    assert judge(below, evidence(low, (low + high) / 2.0, high))[0] is outcome


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (JUST, 5.0, REPRODUCED),
        (50.0, 60.0, REPRODUCED),  # there is no upper end
        (JUST, 5.0 - JUST, DIRECTION),
        (0.0, 5.0, OPEN),
        (0.0, 5.0 - JUST, NOT),
    ],
)
def test_a_direction_is_reproduced_from_the_smallest_effect_that_counts_on(low, high, outcome):
    upwards = claim(kind=Kind.direction, value=5.0, tolerance=0.0)
    assert judge(upwards, evidence(low, (low + high) / 2.0, high))[0] is outcome
    downwards = claim(kind=Kind.direction, value=-5.0, tolerance=0.0)
    assert judge(downwards, evidence(-high, -(low + high) / 2.0, -low))[0] is outcome


@pytest.mark.parametrize(
    ("side", "low", "high", "outcome"),
    [
        (Side.at_most, -9.0, 12.0, REPRODUCED),
        (Side.at_most, 12.0, 12.0 + JUST, OPEN),
        (Side.at_most, 12.0 + JUST, 13.0, NOT),
        (Side.at_least, 8.0, 99.0, REPRODUCED),
        (Side.at_least, 8.0 - JUST, 99.0, OPEN),
        (Side.at_least, 7.0, 8.0 - JUST, NOT),
        (Side.within, 8.0, 12.0, REPRODUCED),
        (Side.within, 8.0 - JUST, 12.0, OPEN),
        (Side.within, 8.0, 12.0 + JUST, OPEN),
        (Side.within, 12.0 + JUST, 13.0, NOT),
        (Side.within, 7.0, 8.0 - JUST, NOT),
    ],
)
def test_a_bound_holds_where_the_whole_interval_keeps_to_it(side, low, high, outcome):
    bound = claim(kind=Kind.bound, side=side, no_effect=None)
    assert judge(bound, evidence(low, (low + high) / 2.0, high))[0] is outcome


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(12.0, 15.0, REPRODUCED), (12.0 + JUST, 15.0, NOT), (1.0, 8.0, REPRODUCED), (1.0, 8.0 - JUST, NOT)],
)
def test_an_absolute_value_without_a_value_of_no_effect_is_met_or_not(low, high, outcome):
    absolute = claim(kind=Kind.absolute, no_effect=None)
    assert judge(absolute, evidence(low, (low + high) / 2.0, high))[0] is outcome


@pytest.mark.parametrize(
    ("noise_floor", "mid", "outcome"),
    [
        (10.0, 9.0, REPRODUCED),  # as large as the effect that is claimed
        (10.0 + JUST, 9.0, OPEN),
        (10.0 + JUST, 11.0, REPRODUCED),  # what was found is above it
        (11.0 + JUST, 11.0, OPEN),
        (None, 9.0, OPEN),
    ],
)
def test_a_noise_floor_above_the_claimed_and_the_found_effect_leaves_it_open(noise_floor, mid, outcome):
    assert judge(claim(), evidence(8.0, mid, 12.0, noise_floor=noise_floor))[0] is outcome


def test_no_effect_where_the_noise_floor_is_below_the_claim_is_not_reproduced():
    assert judge(claim(), evidence(-1.0, 0.0, 1.0, noise_floor=1.0))[0] is NOT


@pytest.mark.parametrize("kind", [Kind.ratio, Kind.bound])
def test_one_block_has_no_interval_and_leaves_it_open(kind):
    side, no_effect = (Side.at_most, None) if kind is Kind.bound else (None, 0.0)
    outcome, why = judge(claim(kind=kind, side=side, no_effect=no_effect), evidence(None, 10.0, None))
    assert outcome is OPEN
    assert "two blocks" in why


def test_an_expectation_that_the_run_was_told_is_never_reproduced():
    told = claim(expectation_is_input=True)
    assert judge(told, evidence(9.0, 10.0, 11.0))[0] is DIRECTION
    assert judge(told, evidence(-1.0, 0.0, 1.0))[0] is NOT, "a run that misses what it was told is broken"
    set_rate = claim(kind=Kind.absolute, no_effect=None, expectation_is_input=True)
    assert judge(set_rate, evidence(9.0, 10.0, 11.0))[0] is OPEN


def test_a_size_that_follows_from_a_hit_rate_that_was_set_is_a_direction_only():
    found = evidence(9.0, 10.0, 11.0, is_hit_rate_set=True)
    assert judge(claim(), found)[0] is DIRECTION
    assert judge(claim(kind=Kind.direction, tolerance=0.0), found)[0] is REPRODUCED


def test_a_published_record_does_not_reproduce_what_was_read_off_it():
    read_off = claim(value_from=ValueFrom.record)
    assert judge(read_off, evidence(9.0, 10.0, 11.0, is_published=True))[0] is DIRECTION
    assert judge(read_off, evidence(9.0, 10.0, 11.0))[0] is REPRODUCED
    assert judge(claim(), evidence(9.0, 10.0, 11.0, is_published=True))[0] is REPRODUCED


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (190.0, 200.0 - JUST, Outcome.REFUTED_AS_EXPECTED),
        (190.0, 200.0, NOT),  # what the reading of the figure leaves open does not refute
        (200.0, 210.0, NOT),
    ],
)
def test_a_sentence_is_refuted_where_the_figures_exclude_it_and_else_our_expectation_is_wrong(low, high, outcome):
    said = claim(
        of=Claimant.paper, expected=Expected.refuted, kind=Kind.bound, side=Side.at_least, value=200.0, tolerance=0.0,
        no_effect=None,
    )  # fmt: skip
    assert judge(said, evidence(low, (low + high) / 2.0, high))[0] is outcome


def test_the_region_of_a_claim_reaches_by_the_tolerance_beyond_its_value():
    assert region_of(claim()) == (8.0, 12.0)
    assert region_of(claim(kind=Kind.direction)) == (8.0, float("inf"))
    assert region_of(claim(kind=Kind.direction, value=-10.0)) == (float("-inf"), -8.0)
