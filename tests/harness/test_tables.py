"""The tables: intervals and noise floor by hand, what was not measured, and the table that ends a run."""

import io
from math import sqrt
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from harness import closing_table
from harness.closing_table import print_closing_table
from harness.metrics.statistics import block_interval, noise_floor_pct
from harness.tables import summarise

T_975 = {2: 4.302653, 4: 2.776445}  # Student's t, 97.5 %, from a printed table


def row(**changes: Any) -> dict[str, Any]:
    """A finished cell; both arms alike unless `changes` says otherwise."""
    of_arms = {
        f"{name}_{arm}": value
        for arm in ("base", "spec")
        for name, value in {"generation_s": 0.5, "engine_steps": 40.0, "scheduled_tokens": 900.0, "cpu_s": 2.0}.items()
    }
    same = {
        "experiment": "fig1",
        "setting": "s",
        "workload": "bfcl",
        "backend": "vllm_baseline",
        "draft": "replay_tiny_draft",
        "draft_place": "elsewhere",
        "num_samples": 1,
        "num_diverged": None,
        "num_diverged_base": None,
        "speculation": "client",
        "num_agents": 8,
        "origin": "replayed",
        "latency_mean_g": 1.0,
        "latency_mean_s": 0.5,
        "throughput_base_tok_per_s": 200.0,
        "throughput_spec_tok_per_s": 220.0,
        "time_saved_pct": 10.0,
        "noise_pct": 1.0,
        "predicted_time_saved_pct": 12.0,
        "predicted_loaded_time_saved_pct": 11.0,
        "draft_s": 0.1,
        "call_acceptance_rate": 0.8,
        "eligible_share": 1.0,
        "num_identical": 24,
        "num_confirmed": 10,
        "num_executed": 4,
        "num_prompts": 20,
        "num_equal_prompts": 15,
        "num_graded_base": 4.0,
        "num_graded_spec": 4.0,
        "num_solved_base": 3.0,
        "num_solved_spec": 2.0,
    }
    return same | of_arms | changes


def one(frame: pd.DataFrame) -> dict[str, Any]:
    (record,) = summarise(frame)
    return record


def test_the_noise_floor_is_the_half_width_of_the_interval_of_no_difference() -> None:
    # Root mean square of 3 and 4 is sqrt(12.5); over two blocks divided by sqrt(2); t with two degrees of freedom.
    assert noise_floor_pct([3.0, -4.0], 2) == pytest.approx(T_975[2] * sqrt(12.5) / sqrt(2.0), rel=1e-4)


def test_more_blocks_lower_the_noise_floor() -> None:
    assert noise_floor_pct([1.0, -1.0, 1.0, -1.0], 16) == pytest.approx(T_975[4] / 4.0, rel=1e-4)


@pytest.mark.parametrize("values", [[], [5.0]])
def test_one_pair_of_baselines_gives_no_noise_floor(values: list[float]) -> None:
    assert noise_floor_pct(values, 3) is None


def test_the_noise_floor_of_a_setting_takes_every_setting_under_the_same_load() -> None:
    frame = pd.DataFrame(
        [
            row(setting="a", noise_pct=3.0),
            row(setting="b", noise_pct=-4.0),
            row(setting="c", noise_pct=50.0, num_agents=16),
        ]
    )
    floors = [record["noise_floor_pct"] for record in summarise(frame)]
    assert floors == [noise_floor_pct([3.0, -4.0], 1), noise_floor_pct([3.0, -4.0], 1), None]


def test_time_saved_and_throughput_ratio_have_intervals_over_blocks() -> None:
    saved, ratios = [8.0, 10.0, 15.0], [1.1, 1.2, 1.3]
    frame = pd.DataFrame(
        row(block=block, time_saved_pct=saved[block], throughput_spec_tok_per_s=200.0 * ratios[block])
        for block in range(3)
    )
    record = one(frame)
    interval = block_interval(saved)
    assert record["num_blocks"] == 3
    assert record["time_saved_pct"] == [interval.low, 11.0, interval.high]
    assert interval.low is not None
    assert interval.low < 8.0
    assert record["throughput_ratio"][1] == pytest.approx(1.2)
    assert record["throughput_spec_tok_per_s"] == pytest.approx(240.0)


def test_one_block_has_a_mean_and_no_interval() -> None:
    assert one(pd.DataFrame([row()]))["time_saved_pct"] == [None, 10.0, None]


def test_the_residual_is_what_was_saved_less_what_was_predicted() -> None:
    record = one(pd.DataFrame([row(time_saved_pct=9.0), row(time_saved_pct=10.0)]))
    assert record["residual_pct"] == -2.5
    assert record["residual_of_load_pct"] == -1.0


def test_ratios_of_counters_are_those_of_the_sums() -> None:
    frame = pd.DataFrame(
        [
            row(engine_steps_base=100.0, engine_steps_spec=90.0, cpu_s_base=None),
            row(engine_steps_base=300.0, engine_steps_spec=270.0),
        ]
    )
    record = one(frame)
    assert record["steps_ratio"] == pytest.approx(0.9)
    assert record["cpu_s_ratio"] is None, "one block was not measured"
    assert record["num_identical"] == 48
    assert (record["executed_share"], record["equal_prompts_share"]) == (0.4, 0.75)
    assert (record["solved_share_base"], record["solved_share_spec"]) == (0.75, 0.5)


def test_where_nobody_judges_no_share_is_solved() -> None:
    ungraded = {f"num_graded_{arm}": 0.0 for arm in ("base", "spec")} | dict.fromkeys(
        ("num_solved_base", "num_solved_spec")
    )
    record = one(pd.DataFrame([row(**ungraded)]))
    assert (record["solved_share_base"], record["solved_share_spec"]) == (None, None)


def test_what_was_not_measured_is_none_and_not_zero() -> None:
    unknown = {
        name: None
        for name in (
            "latency_mean_g", "throughput_base_tok_per_s", "throughput_spec_tok_per_s", "predicted_time_saved_pct",
            "predicted_loaded_time_saved_pct", "draft_s", "call_acceptance_rate", "num_identical",
            "num_prompts", "num_equal_prompts",
            "engine_steps_base", "engine_steps_spec", "cpu_s_base", "cpu_s_spec",
        )
    }  # fmt: skip
    record = one(pd.DataFrame([row(**unknown), row(**unknown)]))
    derived = ("residual_pct", "residual_of_load_pct", "steps_ratio", "cpu_s_ratio", "equal_prompts_share")
    assert {name: record[name] for name in (*derived, *unknown.keys() & record.keys())} == dict.fromkeys(
        (*derived, *unknown.keys() & record.keys())
    )
    assert record["throughput_ratio"] == [None, None, None]


def printed(*rows: dict[str, Any]) -> str:
    stream = io.StringIO()
    print_closing_table(summarise(pd.DataFrame(rows)), Console(file=stream, width=80))
    return stream.getvalue()


def test_the_closing_table_has_every_column_even_on_a_narrow_terminal() -> None:
    text = printed(row(block=0), row(block=1, time_saved_pct=12.0))
    for name in closing_table.COLUMNS:
        assert name in text
    named = ("fig1", "client", "elsewhere", "8 agents")
    for value in (*named, "1.00", "0.50", "200", "220", "11.0 [", "12.0", "-1.0", "0.80"):
        assert value in text
    assert "…" not in text


def test_the_closing_table_shows_how_the_numbers_came_about_and_the_noise_floor() -> None:
    text = printed(row(noise_pct=3.0), row(noise_pct=-4.0))
    assert "replayed" in text
    floor = noise_floor_pct([3.0, -4.0], 2)
    assert f"{floor:.1f}" in text


def test_the_closing_table_shows_a_dash_for_what_was_not_measured() -> None:
    text = printed(row(predicted_time_saved_pct=None, call_acceptance_rate=None))
    line = next(line for line in text.splitlines() if "elsewhere" in line)
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    names = ("predicted", "residual", "of load", "noise floor", "alpha")
    assert [cells[closing_table.COLUMNS.index(name)] for name in names] == ["-"] * 5


def test_the_closing_table_of_many_settings_says_how_many_it_leaves_out() -> None:
    rows = [row(setting=str(number)) for number in range(closing_table.MAX_ROWS + 3)]
    text = printed(*rows)
    assert text.count("elsewhere") == closing_table.MAX_ROWS
    assert "and 3 more settings: cells.parquet has all" in text
