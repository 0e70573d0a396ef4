"""What the simulator fits and predicts of the paper's figures, and the grid's cells."""

import json

import pytest

from harness.backends.simulated import calibrate, figures, paper
from harness.backends.simulated.figures import Point, by_figure, points
from harness.backends.simulated.grid import PAPER_TASKS, Grid, is_in_a_figure
from harness.backends.simulated.paper import PaperParameters
from harness.backends.simulated.setting import Method

PARAMETERS = PaperParameters(
    reasoning_tokens=80.0,
    answer_tokens=60.0,
    spread=0.5,
    step_s=0.007,
    experts_s=0.016,
    draft_step_s=0.002,
    overhead_s=0.02,
)


def test_what_is_held_out_is_not_fitted():
    fitted = {point.figure for point in calibrate.fitted_points()}
    assert fitted == {"fig1_vanilla", "fig1_speculative", "fig6_1B", "fig6_8B"}
    assert {point.figure for point in points()} - fitted == {"fig6_3B", "fig8_client", "fig8_engine", "fig5"}


def test_every_published_point_of_the_figures_is_compared():
    found = points()
    assert {figure: sum(point.figure == figure for point in found) for figure in {p.figure for p in found}} == {
        "fig1_vanilla": 7,
        "fig1_speculative": 7,
        "fig5": 13,
        "fig6_1B": 6,
        "fig6_3B": 6,
        "fig6_8B": 6,
        "fig8_client": 10,
        "fig8_engine": 10,
    }
    assert (
        Point(
            figure="fig8_client",
            metric="time_saved_pct",
            method=Method.client,
            draft="xLAM-2-8B",
            num_samples=1,
            latency_s=0.3,
            num_agents=1,
            value=6.7,
            is_fitted=False,
        )
        in found
    )


def test_an_error_is_percent_of_throughput_and_points_of_time_saved():
    throughput, saved = points()[0], next(point for point in points() if point.metric == figures.TIME_SAVED)
    assert throughput.error(1.02 * throughput.value) == pytest.approx(2.0)
    assert saved.error(saved.value - 1.5) == pytest.approx(-1.5)
    summary = by_figure(points(), lambda point: point.value)
    assert {row["rms"] for row in summary.values()} == {0.0}


def test_hit_rates_are_those_of_figure_5_and_filled_in_where_it_has_none():
    rates = paper.hit_rates()
    assert rates[("xLAM-2-1B", 1)] == 0.218
    assert rates[("xLAM-2-8B", 5)] == 0.977
    assert len(rates) == len(paper.DRAFTS) * len(paper.SAMPLES)


def test_the_paper_s_number_of_tasks_is_run_in_the_cells_that_its_figures_show():
    assert is_in_a_figure("xLAM-2-1B", 1, 2.5, 32, Method.client)
    assert is_in_a_figure("xLAM-2-1B", 9, 1.5, 32, Method.client)
    assert not is_in_a_figure("xLAM-2-1B", 9, 2.5, 32, Method.client)
    assert not is_in_a_figure("xLAM-2-1B", 1, 2.5, 32, Method.engine)
    assert not is_in_a_figure("xLAM-2-1B", 1, 0.1, 32, Method.client)
    assert is_in_a_figure("xLAM-2-8B", 1, 0.1, 1, Method.engine)
    assert not is_in_a_figure("xLAM-2-3B", 1, 0.1, 1, Method.client)


def test_a_cell_is_the_same_whenever_it_is_run_and_whatever_ran_before():
    def cell(grid):
        return grid.cell(Method.client, "xLAM-2-3B", 5, 1.5, 8, 1, 2)

    grid = Grid(PARAMETERS)
    grid.cell(Method.engine, "xLAM-2-8B", 1, 1.5, 8, 1, 2)
    assert cell(grid) == cell(Grid(PARAMETERS))


def test_speculation_saves_time_in_a_cell_and_more_with_more_samples():
    grid = Grid(PARAMETERS)
    saved = [grid.cell(Method.client, "xLAM-2-1B", samples, 1.0, 8, 0, 4).time_saved_pct for samples in (1, 5, 9)]
    assert 0.0 < saved[0] < saved[1] < saved[2]


def test_the_kept_calibration_is_one_of_these_parameters_and_says_what_it_leaves_open():
    kept = calibrate.load()
    parameters = PaperParameters(**kept["parameters"])
    assert kept["weakly_identified"]
    assert set(kept["relative_std"]) == set(kept["parameters"])
    # The parameters that are kept fit as well as is said: one point of each kind, within a rounding.
    grid = Grid(parameters)
    point = next(point for point in calibrate.fitted_points() if point.figure == "fig1_vanilla")
    assert abs(point.error(calibrate.predict(grid, point))) < 10.0
    assert json.loads(paper.calibration_file().read_text())["num_points"] == len(calibrate.fitted_points())
    assert PAPER_TASKS == 32
