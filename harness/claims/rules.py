"""From a claim and its evidence to a verdict.

Written x = what was found, [low, high] = its 95 % interval (from resampling blocks or tasks; a point for counts and
formulas), v, t, z = the claim's `value`, `tolerance` and `no_effect`. Sides are turned so that v > z.

The claimed region, its ends included:

    direction            from v - t on: an effect of at least that size
    ratio, absolute      v - t to v + t
    bound                up to v + t (at_most), from v - t on (at_least), v - t to v + t (within)

Where z is given (direction, ratio, and absolute that has one), the first that holds:

1. *not testable*: there is no interval (fewer than two blocks), or the noise floor is not known;
2. *not testable*: the noise floor is above both effects, the claimed v - z and the found |x - z|;
3. *reproduced*: low > z, and the interval meets the region;
4. *direction only*: low > z, and the interval misses the region;
5. *not reproduced*: the whole interval is below the region, and does not exclude z;
6. *not testable*: the interval holds no effect and the claim alike.

A bound: *reproduced* where the interval lies in the region, *not reproduced* where it misses it, else *not testable*.
An absolute value without z: *reproduced* where the interval meets the region, else *not reproduced*. Both need an
interval.

Then, for what the evidence cannot show:

- The expectation is an input of the run (`expectation_is_input`; or a size, where the runs were told the hit rate), or
  it was read off our published record (`value_from: record`) and that record is the evidence: never *reproduced*, but
  *direction only*, or *not testable* where there is no z.
- `expected: refuted`: *refuted as expected* where the paper's figures say *not reproduced*, else *not reproduced*.
"""

from enum import StrEnum
from math import inf

from harness.claims.found import Evidence
from harness.claims.schema import Claim, Expected, Kind, Side, ValueFrom


class Outcome(StrEnum):
    REPRODUCED = "reproduced"
    DIRECTION_ONLY = "direction only"
    NOT_REPRODUCED = "not reproduced"
    NOT_TESTABLE = "not testable here"
    REFUTED_AS_EXPECTED = "refuted as expected"


Judged = tuple[Outcome, str]
"""An outcome and, in words, why."""

Ends = tuple[float, float]
"""Of a region or an interval."""


def judge(claim: Claim, evidence: Evidence) -> Judged:
    """Return the verdict of this evidence, by the rules above."""
    outcome, why = _compare(claim, evidence)
    if claim.expected is Expected.refuted:
        return _expecting_refutation(outcome)
    if outcome is Outcome.REPRODUCED and (limit := _cannot_reproduce(claim, evidence)) is not None:
        return (Outcome.NOT_TESTABLE if claim.no_effect is None else Outcome.DIRECTION_ONLY), limit
    return outcome, why


def region_of(claim: Claim) -> Ends:
    """Return the ends of the claimed region, in the claim's unit."""
    low, high = claim.value - claim.tolerance, claim.value + claim.tolerance
    if claim.kind is Kind.direction:
        assert claim.no_effect is not None, "ledger.check wants it"
        return (low, inf) if claim.value > claim.no_effect else (-inf, high)
    if claim.side is Side.at_most:
        return -inf, high
    return (low, inf) if claim.side is Side.at_least else (low, high)


def _compare(claim: Claim, evidence: Evidence) -> Judged:
    low, mid, high = evidence.low, evidence.mid, evidence.high
    if low is None or mid is None or high is None:
        return Outcome.NOT_TESTABLE, "there is no interval: it takes two blocks or more"
    region = region_of(claim)
    if claim.kind is Kind.bound:
        return _bound(region, (low, high))
    if claim.no_effect is None:
        return _absolute(region, (low, high))
    if (noise := _too_noisy(claim, claim.no_effect, evidence.noise_floor, mid)) is not None:
        return Outcome.NOT_TESTABLE, noise
    return _effect(region, (low, high), claim.no_effect, is_up=claim.value > claim.no_effect)


def _too_noisy(claim: Claim, no_effect: float, noise_floor: float | None, mid: float) -> str | None:
    if noise_floor is None:
        return "the noise floor is not known: it takes two cells or more"
    if noise_floor > max(abs(claim.value - no_effect), abs(mid - no_effect)):
        return f"the noise floor, {noise_floor:.3g}, is above the effect"
    return None


def _effect(region: Ends, interval: Ends, no_effect: float, *, is_up: bool) -> Judged:
    excludes_none = interval[0] > no_effect if is_up else interval[1] < no_effect
    falls_short = interval[1] < region[0] if is_up else interval[0] > region[1]
    if excludes_none and _meet(region, interval):
        return Outcome.REPRODUCED, "the interval meets the claim and excludes no effect"
    if excludes_none:
        size = "smaller" if falls_short else "larger"
        return Outcome.DIRECTION_ONLY, f"the interval excludes no effect; the effect is {size} than claimed"
    if falls_short:
        return Outcome.NOT_REPRODUCED, "the interval excludes the claim"
    return Outcome.NOT_TESTABLE, "the interval holds no effect and the claim alike"


def _absolute(region: Ends, interval: Ends) -> Judged:
    if _meet(region, interval):
        return Outcome.REPRODUCED, "the interval meets the claim"
    return Outcome.NOT_REPRODUCED, "the interval excludes the claim"


def _meet(region: Ends, interval: Ends) -> bool:
    return interval[0] <= region[1] and interval[1] >= region[0]


def _bound(region: Ends, interval: Ends) -> Judged:
    if region[0] <= interval[0] and interval[1] <= region[1]:
        return Outcome.REPRODUCED, "the interval is within the bound"
    if interval[1] < region[0] or interval[0] > region[1]:
        return Outcome.NOT_REPRODUCED, "the interval is beyond the bound"
    return Outcome.NOT_TESTABLE, "the interval reaches across the bound"


def _cannot_reproduce(claim: Claim, evidence: Evidence) -> str | None:
    if claim.expectation_is_input:
        return "what is claimed is an input of the run"
    if evidence.is_hit_rate_set and claim.kind in (Kind.ratio, Kind.absolute):
        return "the runs were told the hit rate, which decides the size"
    if evidence.is_published and claim.value_from is ValueFrom.record:
        return "the expectation was read off this record; a run of your own can reproduce it"
    return None


def _expecting_refutation(outcome: Outcome) -> Judged:
    if outcome is Outcome.NOT_REPRODUCED:
        return Outcome.REFUTED_AS_EXPECTED, "the paper's own figures exclude the sentence"
    return Outcome.NOT_REPRODUCED, "the paper's own figures do not exclude the sentence"
