"""Figures of time saved: by draft, client against engine, headroom, waste, and the draft's hardware."""

import pandas as pd
import pytest

from harness.metrics.statistics import noise_floor_pct
from paper_figures import data, draft_hardware, fig6_time_saved, fig8_client_vs_engine, headroom, saved, style, waste
from paper_figures.data import NothingToDraw
from precall.errors import ConfigError
from tests.paper_figures.frames import cells, client_and_engine_cells, given_cells, hit_rate_cells


def drawn_points(axes) -> set[tuple[float, float]]:
    return {(round(float(x), 3), round(float(y), 3)) for line in axes.lines for x, y in line.get_xydata()}


def legends(figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in (*legend.get_texts(), legend.get_title())]


def other_draft(**changes) -> pd.DataFrame:
    found = cells(**changes)
    return found.assign(setting=found["setting"] + "," + str(changes))


def test_a_point_is_the_mean_over_the_blocks_of_its_latency_with_their_interval() -> None:
    points = saved.points_of(cells(), "time_saved_pct")
    assert [(latency_s, interval.mid) for latency_s, interval in points] == [(0.0, 1.0), (0.5, 6.0), (1.0, 11.0)]
    assert points[1][1].low < 5.0 and points[1][1].high > 7.0


def test_two_settings_at_one_latency_are_not_pooled() -> None:
    with pytest.raises(ConfigError, match=r"2 settings of tiny have latency_mean_s 0\.0; a line needs one"):
        saved.points_of(pd.concat([cells(), other_draft()]), "time_saved_pct")


def test_figure_6_has_a_line_for_each_draft_and_each_hit_rate_that_was_set() -> None:
    lines = saved.lines_of(
        pd.concat([cells(), other_draft(hit_rate_set=0.2, call_acceptance_rate=0.25), other_draft(draft="s")]),
        fig6_time_saved.BY,
        fig6_time_saved._label,
    )
    assert [line.label for line in lines] == [
        r"oracle, hit rate set to 0.8: $\alpha$ = 0.80",
        r"oracle, hit rate set to 0.2: $\alpha$ = 0.25",
        r"s, hit rate set to 0.8: $\alpha$ = 0.80",
    ]


def test_a_live_draft_has_no_hit_rate_in_its_name() -> None:
    (line,) = saved.lines_of(cells(hit_rate_set=None), fig6_time_saved.BY, fig6_time_saved._label)
    assert line.label == r"oracle: $\alpha$ = 0.80"


@pytest.mark.parametrize("column", ["model", "num_agents", "workload", "draft_place", "origin"])
def test_origins_and_settings_are_never_mixed_in_one_figure(column: str) -> None:
    other = other_draft(draft="s", **{column: 16 if column == "num_agents" else "measured"})
    with pytest.raises(ConfigError, match=f"the cells differ in {column}; they may differ in"):
        fig6_time_saved.draw(pd.concat([cells(), other]), data.load_paper("fig6_time_saved_client"))


def test_figure_6_shows_our_points_and_the_papers_and_says_which_are_which() -> None:
    with style.applied():
        figure = fig6_time_saved.draw(cells(), data.load_paper("fig6_time_saved_client"))
    ours, theirs = figure.axes[:2]
    assert {(0.0, 1.0), (0.5, 6.0), (1.0, 11.0)} <= drawn_points(ours)
    assert {(0.5, 1.5), (2.0, 20.5)} <= drawn_points(theirs)
    floor = noise_floor_pct([0.0, -0.5, -1.0] * 3, 3)
    assert ours.patches[0].get_height() == pytest.approx(2.0 * floor), "both ways"
    words = " ".join(legends(figure))
    assert "replayed, 8 agents" in words and "published, read off the figure" in words and "G = 0.5 s" in words


def test_the_third_live_draft_is_that_of_figure_1() -> None:
    live = {"hit_rate_set": None, "origin": "measured"}
    with style.applied():
        figure = fig6_time_saved.draw_live(
            cells(**live, draft="pocket_s"), cells(**live, draft="pocket_m"), data.load_paper("fig6_time_saved_client")
        )
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [label.split(":")[0] for label in labels[:2]] == ["pocket_s", "pocket_m"]


def test_what_the_engine_side_adds_is_the_difference_within_each_block() -> None:
    points = fig8_client_vs_engine.added_points(client_and_engine_cells())
    assert [(latency_s, interval.mid) for latency_s, interval in points] == [(0.0, 3.0), (0.5, 3.0), (1.0, 3.0)]
    assert points[0][1].low < 2.0 and points[0][1].high > 4.0


def test_the_noise_floor_of_a_difference_is_that_of_the_baselines_differences() -> None:
    both = client_and_engine_cells()
    both.loc[both["speculation"] == "engine", "noise_pct"] = 3.0
    with style.applied():
        figure = fig8_client_vs_engine.draw(both, data.load_paper("fig8_client_vs_engine"))
    floor = noise_floor_pct([3.0, 3.5, 4.0] * 3, 3)
    assert figure.axes[2].patches[0].get_height() == pytest.approx(2.0 * floor), "3 less 0, -0.5 and -1"


def test_of_one_block_and_setting_the_noise_floor_is_the_difference_of_its_baselines() -> None:
    assert saved.noise_of(cells().iloc[2:3]) == 1.0


def test_a_block_without_one_of_the_two_sides_is_refused() -> None:
    both = client_and_engine_cells()
    for frame in (both.iloc[:-1], both.loc[both["speculation"] == "client"]):
        with pytest.raises(ConfigError, match="each block needs client and engine"):
            fig8_client_vs_engine.added_points(frame)


def test_figure_8_says_which_optimisations_the_engine_side_had() -> None:
    paper = data.load_paper("fig8_client_vs_engine")
    with style.applied():
        figure = fig8_client_vs_engine.draw(client_and_engine_cells(), paper)
        without = fig8_client_vs_engine.draw(client_and_engine_cells().assign(is_drafting=False), paper)
    assert "engine side (O1, O2, O3)" in legends(figure)
    assert "engine side (O1, O3)" in legends(without)
    assert (0.5, 1.9) in drawn_points(figure.axes[3]), "the paper: 10.2 less 8.3 points"


def test_the_residual_is_what_was_measured_less_what_was_predicted() -> None:
    measured = headroom.residual_points(cells(), "time_saved_pct")
    assert [interval.mid for _, interval in measured] == [1.0, 0.0, -1.0]
    of_load = headroom.residual_points(cells(), "predicted_loaded_time_saved_pct")
    assert [interval.mid for _, interval in of_load] == [0.0, -0.5, -1.0]


def test_the_papers_ceiling_is_the_8b_drafts_saving_over_its_hit_rate() -> None:
    table = headroom.paper_predictions(data.load_paper("fig5_hit_rate"), data.load_paper("fig6_time_saved_client"))
    row = table.loc[(table["draft"] == "xLAM-2-3B") & (table["latency_s"] == 1.0)].iloc[0]
    assert row["ceiling"] == pytest.approx(13.1 / 0.977)
    assert row["predicted"] == pytest.approx(0.591 * 13.1 / 0.977)
    assert row["saved"] == 8.0
    assert set(table["draft"]) == {"xLAM-2-1B", "xLAM-2-3B"}


def test_headroom_shows_ceiling_prediction_and_what_was_measured() -> None:
    papers = [data.load_paper(name) for name in headroom.PAPER]
    with style.applied():
        figure = headroom.draw(cells(), *papers)
    assert {(1.0, 20.0), (1.0, 12.0), (1.0, 11.0)} <= drawn_points(figure.axes[0])
    with pytest.raises(ConfigError, match="the cells differ in draft; they may differ in tool latency alone"):
        headroom.draw(pd.concat([cells(), other_draft(draft="s")]), *papers)


def test_waste_is_seconds_in_vain_per_second_saved_where_any_was_saved() -> None:
    # Blocks waste 1, 2 and 3 times the latency and save 4 times it; without latency there is nothing to save.
    points = waste.ratio_points(cells(), "latency_mean_s")
    assert [(latency_s, interval.mid) for latency_s, interval in points] == [(0.5, 0.5), (1.0, 0.5)]


@pytest.mark.parametrize(("alpha", "seconds"), [(0.5, 1.0), (0.8, 0.25), (1.0, 0.0)])
def test_the_modelled_waste_is_wrong_predictions_over_right_ones(alpha: float, seconds: float) -> None:
    assert waste.modelled_waste(alpha) == pytest.approx(seconds)


def test_waste_stands_over_latency_or_over_samples_with_the_other_the_same() -> None:
    paper = data.load_paper("fig5_hit_rate")
    with style.applied():
        over_samples = waste.draw(hit_rate_cells(), paper, x="num_samples")
    assert {(1.0, 0.5), (3.0, 1.5)} <= drawn_points(over_samples.axes[0])
    assert {(0.4, 0.5), (0.7, 0.5)} <= drawn_points(over_samples.axes[1])
    with pytest.raises(ConfigError, match="the cells differ in num_samples"):
        waste.draw(hit_rate_cells(), paper, x="latency_mean_s")


def test_where_nothing_was_saved_there_is_no_ratio_to_draw() -> None:
    with pytest.raises(NothingToDraw, match="no setting saved any tool time"):
        waste.draw(cells(saved_tool_s=0.0), data.load_paper("fig5_hit_rate"), x="latency_mean_s")


def test_the_drafts_hardware_is_drawn_beside_the_draft() -> None:
    with style.applied():
        figure = draft_hardware.draw(cells(), given_cells(), data.load_paper("fig6_time_saved_client"))
    beside = saved.ASIDE / 2
    assert {(0.5 - beside, 6.0), (0.0 + beside, 8.1), (1.0 + beside, 6.1)} <= drawn_points(figure.axes[0])
    words = legends(figure)
    assert "speculation, draft elsewhere" in words and "no draft, its hardware given to the target" in words


def test_cells_that_are_not_of_a_target_with_more_hardware_are_refused() -> None:
    paper = data.load_paper("fig6_time_saved_client")
    with pytest.raises(ConfigError, match=r"draft_place \['elsewhere'\]; it must be given_to_target"):
        draft_hardware.draw(cells(), cells(), paper)
    with pytest.raises(ConfigError, match="the cells differ in num_agents"):
        draft_hardware.draw(cells(), given_cells().assign(num_agents=4), paper)
