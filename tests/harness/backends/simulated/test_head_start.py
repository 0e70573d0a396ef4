"""What time saved says of a draft's head start: by hand, and of the paper's figures."""

import pytest

from harness.backends.simulated.head_start import HeadStart, fit_points, least_draft_s, of_paper, time_saved_pct


def test_a_latency_far_below_the_head_start_is_saved_whole_and_far_above_it_the_head_start():
    assert time_saved_pct(1.0, 0.5, generation_s=4.0, head_start_s=10.0) == pytest.approx(100 * 0.5 * 1.0 / 5.0)
    assert time_saved_pct(6.0, 0.5, generation_s=4.0, head_start_s=0.5) == pytest.approx(100 * 0.5 * 0.5 / 10.0)


def test_points_of_a_known_head_start_give_it_back():
    points = [(t, time_saved_pct(t, 0.9, generation_s=4.0, head_start_s=0.7)) for t in (0.1, 0.3, 0.6, 1.0, 2.0)]
    found = fit_points(points, 0.9)
    assert found.generation_s == pytest.approx(4.0, rel=0.01)
    assert found.head_start_s == pytest.approx(0.7, rel=0.01)
    assert found.rms_points < 0.01


def test_the_least_g_is_what_the_growth_of_the_head_start_leaves_of_g():
    one = HeadStart(generation_s=4.0, head_start_s=0.5, rms_points=0.0)
    many = HeadStart(generation_s=8.0, head_start_s=2.5, rms_points=0.0)
    assert least_draft_s(one, many) == 1.5  # G is at least half of x, so 2 s, of which the head start is 0.5


def test_the_papers_figures_together_need_a_draft_that_takes_far_longer_than_its_tokens():
    one, many = of_paper()
    assert max(one.rms_points, many.rms_points) < 0.7
    assert least_draft_s(one, many) > 4 * 38 * 2 * 8.03e9 / 2.04e12  # 38 tokens, each a read of the weights
