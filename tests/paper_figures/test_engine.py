"""Figures of the engine side: numbers of agents, and the ablation."""

import math

import pytest

from paper_figures import data, engine_ablation, engine_agents, style
from tests.paper_figures.frames import ablation_bench, engine_bench


@pytest.fixture
def paper():
    return data.load_paper("fig8_client_vs_engine")


def test_every_setting_of_every_bench_is_found() -> None:
    settings = engine_agents.settings_of({"engine": engine_bench(), "no_reasoning": engine_bench()})
    assert [setting["block_size"] for setting in settings] == [32, 128, 32, 128]


def test_an_arm_has_a_ratio_with_its_interval_for_each_number_of_agents_in_their_order() -> None:
    points = engine_agents.intervals_of(engine_bench(), "tokens_per_s_ratio", "o3_o2", 2)
    assert [(agents, ratio.mid, ratio.high) for agents, ratio in points] == [
        (1.0, 1.2, None),
        (8.0, 1.2, None),
        (32.0, 1.2, None),
    ]


def test_the_papers_only_number_of_agents_is_drawn_as_a_ratio_of_times(paper) -> None:
    with style.applied():
        figure = engine_agents.draw({"engine": engine_bench()}, paper)
    (diamond,) = (line for line in figure.axes[0].lines if line.get_marker() == "D")
    assert diamond.get_ydata()[0] == pytest.approx(1.0 / (1.0 - 0.044))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "the paper, Fig. 8: engine side, T = 0.1 s; A100, 1 agent only" in labels


def test_numbers_of_agents_that_were_not_measured_are_no_points(paper) -> None:
    bench = {"engine": engine_bench()}
    del bench["engine"]["kv_block_128"]
    with style.applied():
        figure = engine_agents.draw(bench, paper)
    assert [tick.get_text() for tick in figure.axes[-1].get_xticklabels()] == ["1", "8", "32"]


def test_the_modelled_saving_is_over_the_modelled_arm_without_optimisation() -> None:
    assert engine_ablation.modelled_saved_pct(ablation_bench()["prefix_caching_on"], "all") == pytest.approx(40.0)


def test_the_noise_floor_of_the_ablation_comes_from_the_two_baselines_of_each_block() -> None:
    # No difference in block 0, 9.9 against 10.1 s in block 1: shares of 0 and 1 %; t is 4.30265 for two blocks.
    floor = 4.30265 * math.sqrt(3.0 * 0.01**2 / 2.0) / math.sqrt(2.0)
    assert engine_ablation.noise_pct(ablation_bench()["rows"], is_prefix_caching=True) == pytest.approx(100 * floor)
    (first, last) = (row for row in ablation_bench()["rows"] if row["is_prefix_caching"] and row["block"] == 1)
    assert engine_ablation.noise_pct([first, last], is_prefix_caching=True) == pytest.approx(1.0), "one block"


def test_the_ablation_has_a_bar_and_a_modelled_mark_for_each_arm_and_the_paper_as_reference(paper) -> None:
    with style.applied():
        figure = engine_ablation.draw({"ablation": ablation_bench()}, paper)
    on, off = figure.axes
    assert (on.get_title(), off.get_title()) == ("(a) prefix caching on", "(b) prefix caching off")
    modelled = [float(line.get_ydata()[0]) for line in on.lines if line.get_marker() == "_"]
    assert modelled == pytest.approx([20.0, 25.0, 30.0, 40.0])
    heights = [patch.get_height() for patch in on.patches[1:]]  # the first is the noise floor
    assert heights == [10.0] * 4
    (reference,) = (line for line in on.lines if line.get_linestyle() == ":")
    assert reference.get_ydata()[0] == 10.2
