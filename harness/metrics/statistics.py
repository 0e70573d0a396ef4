"""Intervals over blocks: the only place where an uncertainty is computed.

A block is one repeat of every arm of a setting. Arms of one block share the machine's state, so for paired arms pass
one ratio or one difference per block, never the arms' requests.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np

from precall.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """The mean over blocks (`mid`) with its confidence limits. `low` and `high` are None below two blocks."""

    low: float | None
    mid: float | None
    high: float | None
    num_blocks: int


def block_interval(
    values: Sequence[float], *, confidence: float = 0.95, num_resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Return the mean of `values` (one per block, any unit) and its interval from resampling blocks.

    Source: ours. The percentile limits of the resampled means, with their distances from the mean multiplied by
    sqrt(n / (n - 1)) t(n - 1) / z. The plain percentile bootstrap is too narrow with few blocks: its resamples spread
    like the variance divided by n instead of n - 1, and it takes the spread for known (Hesterberg, The American
    Statistician 69, 2015). The two factors undo both; for many blocks they tend to 1. The studentised bootstrap
    corrects the same but divides by each resample's own spread, which is (nearly) 0 in many resamples of 3 blocks.

    Share of 95 % intervals that hold the true mean (simulated: 4000 data sets, 2000 resamples each; +-.01):

        blocks                   2      3      5      8
        percentile, normal      .50    .75    .85    .89
        studentised, normal      -     .84    .95    .95
        this one, normal        .93    .94    .95    .94
        this one, exponential   .88    .88    .88    .90

    So with skewed blocks, or one that went wrong, coverage stays below nominal: no resampling shows what few blocks
    never saw. At confidence 0.9 three normal blocks give .85, as their resampled means take only ten values.
    Raises ConfigError for a value that is not finite and for a confidence outside (0, 1).
    """
    blocks = np.asarray(values, dtype=float)
    num_blocks = len(blocks)
    if not np.isfinite(blocks).all():
        raise ConfigError(f"values are {blocks.tolist()}; each must be finite. Leave out what was not measured.")
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence is {confidence}; it must lie between 0 and 1. Set confidence=0.95.")
    if num_blocks == 0:
        return Interval(low=None, mid=None, high=None, num_blocks=0)
    mean = float(blocks.mean())
    if num_blocks == 1:
        return Interval(low=None, mid=mean, high=None, num_blocks=1)
    drawn = np.random.default_rng(seed).integers(0, num_blocks, size=(num_resamples, num_blocks))
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(blocks[drawn].mean(axis=1), [tail, 1.0 - tail])
    widening = math.sqrt(num_blocks / (num_blocks - 1)) * t_quantile(1.0 - tail, num_blocks - 1)
    widening /= NormalDist().inv_cdf(1.0 - tail)
    return Interval(
        low=mean + widening * (float(low) - mean),
        mid=mean,
        high=mean + widening * (float(high) - mean),
        num_blocks=num_blocks,
    )


@cache
def t_quantile(probability: float, num_degrees: int) -> float:
    """Return the quantile of Student's t with `num_degrees` degrees of freedom, to about 1e-6.

    Source: ours. With t = sqrt(nu) tan(angle) the density becomes cos(angle)^(nu - 1), which is summed on a grid.
    """
    edges = np.linspace(-math.pi / 2.0, math.pi / 2.0, 20_001)
    share = np.cos((edges[:-1] + edges[1:]) / 2.0) ** (num_degrees - 1)
    below = np.concatenate([[0.0], np.cumsum(share)]) / share.sum()
    angle = np.interp(probability, below, edges)
    return float(math.sqrt(num_degrees) * math.tan(angle))
