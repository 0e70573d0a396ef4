"""Figures drawn from a small synthetic frame of cells."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from paper_figures import data, fig1_throughput, fig3_speedup_model, fig5_hit_rate, style
from precall.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def cells(**changes) -> pd.DataFrame:
    """Three latencies, three blocks: the speculative arm is 10 % faster in the mean block, G is 0.5 s."""
    rows = [
        {
            "setting": f"T={latency_s}",
            "block": block,
            "num_agents": 8,
            "workload": "replay_tiny",
            "model": "tiny",
            "draft": "oracle",
            "draft_place": "elsewhere",
            "origin": "replayed",
            "latency_mean_s": latency_s,
            "throughput_base_tok_per_s": 200.0 - 10.0 * latency_s,
            "throughput_spec_tok_per_s": (200.0 - 10.0 * latency_s) * gain,
            "noise_pct": -0.5 * block,
            "generation_s_base": 0.5,
        }
        for latency_s in (0.0, 0.5, 1.0)
        for block, gain in enumerate((1.08, 1.10, 1.12))
    ]
    return pd.DataFrame(rows).assign(**changes)


def folder_with(frame: pd.DataFrame, tmp_path: Path) -> Path:
    folder = tmp_path / "fig1"
    folder.mkdir()
    frame.to_parquet(folder / "cells.parquet")
    return folder


# Runs a module as `python -m` does, and then the next, in one process: most of the time goes into the imports.
RUN_EACH = """
import json, runpy, sys
for arguments in json.loads(sys.argv[1]):
    sys.argv = arguments
    runpy.run_module(arguments[0], run_name="__main__")
"""


def start(*arguments: object, **environment: str) -> subprocess.Popen:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_two_processes_write_the_same_bytes_and_name_their_command(tmp_path):
    folder = folder_with(cells(), tmp_path)
    users_style = tmp_path / "matplotlibrc"
    users_style.write_text("font.size: 20\n")
    figures = (["paper_figures.fig1_throughput", str(folder)], ["paper_figures.fig3_speedup_model"])
    running = [
        start(
            "-c", RUN_EACH, json.dumps([[*figure, "--out", str(tmp_path / out)] for figure in figures]), **environment
        )
        for out, environment in (("first", {}), ("second", {"MATPLOTLIBRC": str(users_style)}))
    ]
    for process in running:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    written = sorted(file.name for file in (tmp_path / "first").iterdir())
    stems = ("fig1_throughput", "fig3_speedup_model")
    assert written == [f"{stem}.{kind}" for stem in stems for kind in ("pdf", "png")]
    for name in written:
        content = (tmp_path / "first" / name).read_bytes()
        assert content == (tmp_path / "second" / name).read_bytes(), f"{name} differs between two runs"
        assert str(tmp_path).encode() not in content
    for stem in stems:
        text = Image.open(tmp_path / "first" / f"{stem}.png").text
        assert text["Command"].startswith(f"python -m paper_figures.{stem}")
        assert b"/CreationDate" not in (tmp_path / "first" / f"{stem}.pdf").read_bytes()
    identity = Image.open(tmp_path / "first" / "fig1_throughput.png").text["Data"]
    assert "results/paper/fig1_throughput.csv" in identity and "cells.parquet" in identity


def test_missing_cells_end_the_command_with_the_remedy(tmp_path):
    process = start("-m", "paper_figures.fig1_throughput", tmp_path / "fig1", "--out", tmp_path)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "fig1/cells.parquet is missing" in errors and "Run `make reproduce` first." in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (cells().iloc[:0], "has 0 rows"),
        (cells().drop(columns="throughput_spec_tok_per_s"), r"lacks the columns \['throughput_spec_tok_per_s'\]"),
        (cells(generation_s_base=None), r"rows without a value in \['generation_s_base'\]"),
        (cells(origin="guessed"), r"has the origins \['guessed'\]"),
        (cells(block=0), "twice"),
    ],
)
def test_cells_that_cannot_be_drawn_are_refused_by_name(frame, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        data.load_cells(folder_with(frame, tmp_path), columns=fig1_throughput.COLUMNS)


def test_unknown_published_numbers_are_refused_with_those_there_are():
    with pytest.raises(ConfigError, match=r"results/paper/fig2.csv is missing; .*'fig1_throughput'"):
        data.load_paper("fig2")


def test_published_numbers_come_without_their_comment_line():
    paper = data.load_paper("fig1_throughput")
    assert list(paper.columns) == ["tool_latency_s", "method", "throughput_tok_per_s"]
    assert len(paper) == 14


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


def hit_rate_cells(**changes) -> pd.DataFrame:
    """Two drafts, 1 and 3 samples, two blocks; 100 confirmed calls a cell, the vanilla arm at 200 tokens/s."""
    rows = [
        {
            "setting": f"{draft}-{num_samples}",
            "block": block,
            "num_samples": num_samples,
            "draft": draft,
            "draft_place": "colocated",
            "model": "pocket",
            "num_agents": 8,
            "workload": "pocket",
            "origin": "measured",
            "latency_mean_s": 0.5,
            "throughput_base_tok_per_s": 200.0,
            "throughput_spec_tok_per_s": 200.0 + num_hits + 2 * block,
            "num_ready_hits": num_hits - 10,
            "num_pending_hits": 10,
            "num_confirmed": 100,
            "noise_pct": 1.0 - 3.0 * block,
            "generation_s_base": 0.5,
        }
        for draft, num_samples, num_hits in (("s", 1, 40), ("s", 3, 50), ("m", 1, 70), ("m", 3, 80))
        for block in (0, 1)
    ]
    return pd.DataFrame(rows).assign(**changes)


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
