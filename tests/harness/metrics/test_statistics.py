"""Intervals over blocks."""

import math

import numpy as np
import pytest

from harness.metrics.statistics import block_interval, t_quantile
from precall.errors import ConfigError


def test_no_block_gives_no_number():
    interval = block_interval([])
    assert (interval.low, interval.mid, interval.high, interval.num_blocks) == (None, None, None, 0)


def test_one_block_gives_a_mean_and_no_limits():
    interval = block_interval([1.25])
    assert (interval.low, interval.mid, interval.high, interval.num_blocks) == (None, 1.25, None, 1)


def test_equal_blocks_give_limits_at_the_mean():
    interval = block_interval([2.0, 2.0, 2.0])
    assert (interval.low, interval.mid, interval.high) == (2.0, 2.0, 2.0)


def test_two_blocks_give_the_limits_computed_by_hand():
    # A quarter of the resamples is (0, 0) and a quarter (1, 1), so the percentile limits are 0 and 1: half each side.
    half_width = 0.5 * math.sqrt(2.0) * 12.7062 / 1.95996
    interval = block_interval([0.0, 1.0])
    assert interval.mid == 0.5
    assert interval.low == pytest.approx(0.5 - half_width, rel=1e-4)
    assert interval.high == pytest.approx(0.5 + half_width, rel=1e-4)


def test_the_same_blocks_and_seed_give_the_same_limits():
    blocks = [1.02, 1.083, 1.051, 1.11, 1.076, 1.034]
    assert block_interval(blocks) == block_interval(blocks)
    assert block_interval(blocks) != block_interval(blocks, seed=1)


def test_more_confidence_gives_a_wider_interval():
    blocks = [1.02, 1.08, 1.05, 1.11, 1.07]
    wide, narrow = block_interval(blocks, confidence=0.99), block_interval(blocks, confidence=0.8)
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("num_blocks", [3, 5, 8])
def test_the_interval_of_normal_blocks_holds_the_true_mean_nearly_as_often_as_it_says(num_blocks):
    data_sets = np.random.default_rng(7).normal(loc=5.0, size=(1000, num_blocks))
    intervals = [block_interval(blocks, num_resamples=1000) for blocks in data_sets]
    coverage = np.mean([interval.low <= 5.0 <= interval.high for interval in intervals])
    assert 0.92 <= coverage <= 0.975  # 1000 data sets: 0.95 with a standard error of 0.007


def test_an_unmeasured_block_is_refused():
    with pytest.raises(ConfigError, match=r"values are \[1.0, nan\]; each must be finite"):
        block_interval([1.0, math.nan])


def test_a_confidence_in_percent_is_refused():
    with pytest.raises(ConfigError, match="confidence is 95; it must lie between 0 and 1"):
        block_interval([1.0, 2.0], confidence=95)


@pytest.mark.parametrize(
    ("probability", "num_degrees", "tabulated"),
    [(0.975, 1, 12.7062), (0.975, 2, 4.30265), (0.975, 4, 2.77645), (0.95, 7, 1.89458), (0.5, 3, 0.0)],
)
def test_quantiles_of_students_t_agree_with_the_table(probability, num_degrees, tabulated):
    assert t_quantile(probability, num_degrees) == pytest.approx(tabulated, abs=1e-4)
