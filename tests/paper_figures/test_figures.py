"""Figures 1, 3 and 5, from small frames of cells."""

import numpy as np
import pandas as pd
import pytest

from paper_figures import data, fig1_throughput, fig3_speedup_model, fig5_hit_rate, style
from precall.errors import ConfigError
from tests.paper_figures.frames import cells, hit_rate_cells


def test_a_line_has_one_point_per_latency_with_the_gain_of_its_blocks():
    (line,) = fig1_throughput.series_of(cells())
    assert [point.latency_s for point in line.points] == [0.0, 0.5, 1.0]
    assert line.generation_s == 0.5
    assert line.label == "replayed, 8 agents, replay_tiny, tiny,\ndraft oracle elsewhere, 3 blocks, G = 0.5 s"
    point = line.points[1]
    assert point.arms["vanilla"].mid == 195.0
    assert point.gain_pct.mid == pytest.approx(10.0)
    assert point.gain_pct.low < 8.0 and point.gain_pct.high > 12.0
    assert point.noise_pct == 1.0


def test_draft_places_get_a_line_each():
    both = pd.concat([cells(), cells(setting=cells()["setting"] + ",colocated", draft_place="colocated")])
    assert len(fig1_throughput.series_of(both)) == 2


def test_two_settings_at_one_latency_are_not_pooled():
    both = pd.concat([cells(), cells(setting=cells()["setting"] + ",other")])
    with pytest.raises(ConfigError, match="a line needs one setting per latency"):
        fig1_throughput.series_of(both)


def test_no_gain_is_drawn_without_a_noise_floor():
    figure = fig1_throughput.draw(cells(noise_pct=None), data.load_paper("fig1_throughput"))
    gain = figure.axes[2]
    assert [text.get_text() for text in gain.texts] == ["noise floor not measured: no gain shown"]
    assert all(len(line.get_xdata()) == 0 for line in gain.lines)


@pytest.mark.parametrize(
    ("tool_time", "g", "alpha", "speedup"),
    [
        (1.0, 0.0, 1.0, 2.0),  # 2 / 1
        (1.0, 0.5, 1.0, 4.0 / 3.0),  # 2 / 1.5
        (0.5, 0.5, 0.5, 1.2),  # 1.5 / (0.5 + 0.75)
        (2.0, 0.2, 0.5, 3.0 / 2.6),  # 3 / (1.1 + 1.5)
        (0.25, 1.0, 1.0, 1.0),  # a draft as slow as the target gains nothing
        (0.75, 0.3, 0.0, 1.0),  # nor does one that is never right
    ],
)
def test_the_heat_map_holds_the_speedup_computed_by_hand(tool_time, g, alpha, speedup):
    grid = fig3_speedup_model.speedup_grid(tool_time)
    assert grid[round(alpha * 100), round(g * 100)] == pytest.approx(speedup)


@pytest.mark.parametrize("tool_time", fig3_speedup_model.TOOL_TIMES)
def test_a_contour_label_stands_on_its_contour(tool_time):
    grid = fig3_speedup_model.speedup_grid(tool_time)
    ticks = np.linspace(0.0, 1.0, fig3_speedup_model.NUM_STEPS)
    for level, (g, alpha) in fig3_speedup_model.label_places(tool_time).items():
        at_g = [np.interp(g, ticks, row) for row in grid]
        assert np.interp(alpha, ticks, at_g) == pytest.approx(level, abs=0.002)


def test_a_draft_has_one_point_per_number_of_samples_at_its_hit_rate():
    first, second = fig5_hit_rate.series_of(hit_rate_cells())
    assert (first.draft, second.draft) == ("m", "s")
    assert [(point.num_samples, point.hit_rate) for point in second.points] == [(1, 0.4), (3, 0.5)]
    assert second.points[0].throughput.mid == 241.0
    assert second.points[0].gain_pct.mid == pytest.approx(20.5)


def test_hit_rates_of_two_targets_are_not_drawn_as_one():
    both = pd.concat([hit_rate_cells(), hit_rate_cells(model="other", setting=hit_rate_cells()["setting"] + "o")])
    with pytest.raises(ConfigError, match="the cells differ in model;"):
        fig5_hit_rate.series_of(both)


def test_the_hit_rates_of_both_sides_are_drawn():
    with style.applied():
        figure = fig5_hit_rate.draw(hit_rate_cells(), data.load_paper("fig5_hit_rate"))
    (ours, paper), (gain, _) = figure.axes[:2], figure.axes[2:4]
    drawn = {(round(x, 3), round(y, 1)) for line in ours.lines for x, y in zip(*line.get_data(), strict=True)}
    assert {(0.4, 241.0), (0.5, 251.0), (0.7, 271.0), (0.8, 281.0), (0.0, 200.0)} <= drawn
    published = {(round(x, 3), float(y)) for line in paper.lines for x, y in zip(*line.get_data(), strict=True)}
    assert {(0.0, 968.7), (0.218, 981.0), (0.977, 1114.0)} <= published
    assert gain.patches[0].get_height() == pytest.approx(4.0), "the largest noise of a block, both ways"
