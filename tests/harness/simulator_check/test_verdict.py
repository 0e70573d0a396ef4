"""Predicted beside measured time saved: by hand."""

import pytest

from harness.simulator_check.verdict import figures_of, verdicts

WHAT = {
    "experiment": "e",
    "workload": "bfcl",
    "draft": "d",
    "draft_place": "elsewhere",
    "num_samples": 1,
    "num_agents": 8,
    "latency_mean_g": 1.0,
    "latency_mean_s": 0.9,
}


def rows(setting: str, measured: list[float], predicted: list[float], *, is_held_out: bool = True) -> list[dict]:
    return [
        {
            **WHAT,
            "setting": setting,
            "is_held_out": is_held_out,
            "time_saved_pct": one,
            "simulated_time_saved_pct": other,
        }
        for one, other in zip(measured, predicted, strict=True)
    ]


def test_a_setting_is_within_where_the_interval_of_what_was_measured_holds_the_mean_prediction():
    inside, outside, single = verdicts(
        [
            *rows("a", [9.0, 10.0, 11.0], [11.0, 12.0, 10.0]),
            *rows("b", [9.0, 10.0, 11.0], [20.0, 20.0, 20.0]),
            *rows("c", [5.0], [5.0]),
        ]
    )
    assert (inside.predicted_pct, inside.measured_pct[1], inside.error_points) == (11.0, 10.0, 1.0)
    assert (inside.is_within, outside.is_within, single.is_within) == (True, False, None)


def test_the_figures_are_those_of_the_settings_that_were_held_out():
    settings = verdicts(
        [
            *rows("calibration", [0.0, 0.0], [50.0, 50.0], is_held_out=False),
            *rows("a", [9.0, 11.0], [13.0, 13.0]),
            *rows("b", [-4.0, -6.0], [-6.0, -6.0]),
        ]
    )
    figures = figures_of(settings, [1.0, -2.0, 2.0])
    assert (figures["num_settings"], figures["num_within"]) == (2, 2)
    assert figures["bias_points"] == pytest.approx(1.0)  # +3 and -1
    assert figures["rms_points"] == pytest.approx(2.24, abs=0.01)  # sqrt(5)
    assert figures["noise_rms_points"] == pytest.approx(1.73, abs=0.01)
    assert figures["measured_error_rms_points"] == 1.0  # blocks 2 apart: a deviation of sqrt(2), over sqrt(2)
    assert figures["mean_half_width_points"] > 5.0  # two blocks


def test_without_intervals_there_is_no_width():
    assert figures_of(verdicts(rows("a", [1.0], [2.0])), [0.0])["mean_half_width_points"] is None
