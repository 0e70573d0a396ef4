"""Intervals over blocks."""

import math

import numpy as np
import pytest

from harness.metrics.statistics import (
    Interval,
    block_interval,
    median_interval,
    resample_counts,
    share_interval,
    t_quantile,
    widened_interval,
)
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


def test_a_share_is_of_all_trials_and_its_limits_come_from_resampling_tasks():
    # Of two tasks a quarter of the resamples is twice the first (share 1), a quarter twice the second (share 1/3).
    interval = share_interval([(1, 1), (1, 3)])
    assert (interval.low, interval.mid, interval.high, interval.num_blocks) == (pytest.approx(1 / 3), 0.5, 1.0, 2)


def test_the_limits_of_a_share_are_quantiles_of_the_shares_of_resampled_tasks():
    tasks = np.array([(1, 1), (1, 4), (0, 2), (3, 3), (2, 5)])
    drawn = tasks[np.random.default_rng(0).integers(0, 5, size=(10_000, 5))]
    shares = [sum(hits for hits, _ in row) / sum(trials for _, trials in row) for row in drawn.tolist()]
    interval = share_interval([(int(hits), int(trials)) for hits, trials in tasks])
    assert [interval.low, interval.high] == list(np.quantile(shares, [0.025, 0.975]))


def test_turns_of_one_task_do_not_narrow_the_interval_of_a_share():
    tasks = [(1, 1), (0, 1)] * 50
    once, ten_times = share_interval(tasks), share_interval([(10 * hits, 10 * trials) for hits, trials in tasks])
    assert (once.low, once.high) == (ten_times.low, ten_times.high)
    assert once.low == pytest.approx(0.5 - 1.96 * 0.05, abs=0.01)
    assert once.high == pytest.approx(0.5 + 1.96 * 0.05, abs=0.01)


def test_where_every_task_agrees_the_limit_of_a_share_is_wilsons():
    all_right, none_right = share_interval([(2, 2)] * 300), share_interval([(0, 2)] * 300)
    assert (all_right.low, all_right.mid, all_right.high) == (pytest.approx(300 / 303.8415, abs=1e-6), 1.0, 1.0)
    assert (none_right.low, none_right.mid, none_right.high) == (0.0, 0.0, pytest.approx(3.8415 / 303.8415, abs=1e-6))


def test_tasks_without_a_trial_have_no_part_in_a_share():
    assert (
        share_interval([(1, 2), (0, 0)])
        == share_interval([(1, 2)])
        == Interval(low=None, mid=0.5, high=None, num_blocks=1)
    )
    assert share_interval([(0, 0)]) == Interval(low=None, mid=None, high=None, num_blocks=0)


def test_more_hits_than_trials_are_refused():
    with pytest.raises(AssertionError, match="more hits than trials"):
        share_interval([(1, 1), (2, 1)])


def test_a_median_is_of_all_values_and_its_limits_come_from_resampling_tasks():
    # Of two tasks a quarter of the resamples is twice the first (median 1.5), a quarter twice the second (median 7).
    interval = median_interval([[1.0, 2.0], [5.0, 9.0]])
    assert (interval.low, interval.mid, interval.high, interval.num_blocks) == (1.5, 3.5, 7.0, 2)
    assert median_interval([[1.0], [], [2.0], [9.0]]).mid == 2.0


def test_one_task_gives_a_median_without_limits_and_none_gives_nothing():
    assert median_interval([[1.0, 2.0]]) == Interval(low=None, mid=1.5, high=None, num_blocks=1)
    assert median_interval([[]]) == Interval(low=None, mid=None, high=None, num_blocks=0)


def test_the_limits_of_a_median_are_quantiles_of_the_medians_of_resampled_tasks():
    tasks = [[float(value) for value in task] for task in ([3, 1, 4], [1, 5], [9, 2, 6, 5], [3], [5, 8, 9])]
    drawn = np.random.default_rng(0).integers(0, 5, size=(2000, 5))
    medians = [np.median(np.concatenate([tasks[index] for index in row])) for row in drawn]
    interval = median_interval(tasks)
    assert [interval.low, interval.high] == list(np.quantile(medians, [0.025, 0.975]))


def test_a_resample_counts_as_many_tasks_as_there_are_and_each_once_on_average():
    counts = resample_counts(7, 4_000)
    assert counts.shape == (4_000, 7)
    assert (counts.sum(axis=1) == 7).all()
    assert counts.mean(axis=0) == pytest.approx(1.0, abs=0.08)  # five standard errors


def test_the_interval_of_a_mean_is_the_same_from_counted_resamples():
    values = np.array([1.0, 2.0, 4.0, 9.0])
    counted = widened_interval(4.0, resample_counts(4, 20_000) @ values / 4.0, 4)
    drawn = block_interval(values.tolist())
    assert (counted.low, counted.high) == pytest.approx((drawn.low, drawn.high), rel=0.05)
