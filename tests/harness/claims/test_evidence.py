"""Evidence from tables of cells and from files of results/bench: values by hand, and what is no evidence."""

import json
from math import sqrt
from pathlib import Path
from typing import Any

import pytest

from harness.claims import cells
from harness.claims.cells import METRICS, cells_evidence
from harness.claims.evidence import evidence_of
from harness.claims.found import Absent, Evidence
from harness.claims.schema import CellsEvidence, FileEvidence
from harness.metrics.statistics import block_interval
from harness.tables import noise_floor_pct
from precall.errors import ConfigError
from tests.harness.claims.entries import claim
from tests.harness.claims.tables import row, write_cells
from tests.harness.configs import SCALES

SAVED = (8.0, 10.0, 15.0)


def of_cells(results: Path, **spec: Any) -> list[Evidence | Absent]:
    return cells_evidence(CellsEvidence(**{"experiments": ["fig1"], "metric": "time_saved_pct"} | spec), results)


def one(found: list[Evidence | Absent]) -> Evidence:
    (evidence,) = found
    assert isinstance(evidence, Evidence), evidence
    return evidence


def why(found: list[Evidence | Absent]) -> str:
    (absent,) = found
    assert isinstance(absent, Absent)
    return absent.reason


def test_a_metric_of_one_setting_has_the_interval_of_its_blocks_and_the_noise_floor_of_the_table(tmp_path):
    rows = [row(block, time_saved_pct=saved, noise_pct=block - 1.0) for block, saved in enumerate(SAVED)]
    others = [row(block, latency_mean_g=0.0, time_saved_pct=99.0, noise_pct=3.0) for block in range(3)]
    elsewhere = [row(0, num_agents=32, noise_pct=50.0)]
    write_cells(tmp_path / "runs" / "local" / "fig1", *rows, *others, *elsewhere)
    found = one(of_cells(tmp_path, where={"latency_mean_g": 1.0, "num_agents": 8}))
    interval = block_interval(SAVED)
    assert (found.low, found.mid, found.high) == (interval.low, 11.0, interval.high)
    assert found.noise_floor == pytest.approx(noise_floor_pct([-1.0, 0.0, 1.0, 3.0, 3.0, 3.0], 3))
    assert (found.origin, found.is_published, found.is_hit_rate_set) == ("measured", False, False)
    assert found.file == "results/runs/local/fig1/cells.parquet"


def test_a_difference_is_taken_block_by_block_and_its_noise_adds_up(tmp_path):
    with_tools = [row(block, time_saved_pct=saved, noise_pct=2.0) for block, saved in enumerate(SAVED)]
    without = [row(block, latency_mean_g=0.0, time_saved_pct=float(block), noise_pct=2.0) for block in range(4)]
    write_cells(tmp_path / "runs" / "local" / "fig1", *with_tools, *without)
    found = one(of_cells(tmp_path, where={"latency_mean_g": [1.0, 2.0]}, minus={"latency_mean_g": 0.0}))
    assert found.mid == pytest.approx(10.0)  # 8 - 0, 10 - 1, 15 - 2; the fourth block has no other half
    assert found.noise_floor == pytest.approx(noise_floor_pct([2.0] * 7, 1) * sqrt(1 / 3 + 1 / 4))


def test_two_experiments_are_told_apart_by_their_folder(tmp_path):
    for name, saved in (("fig1", 10.0), ("wrong_draft", 4.0)):
        write_cells(tmp_path / "runs" / "local" / name, *(row(block, time_saved_pct=saved) for block in range(2)))
    both = {"experiments": ["fig1", "wrong_draft"], "where": {"folder": "fig1"}, "minus": {"folder": "wrong_draft"}}
    assert one(of_cells(tmp_path, **both)).mid == 6.0


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("time_saved_pct", 10.0),
        ("throughput_gain_pct", 10.0),
        ("residual_pct", -2.0),
        ("throughput_base_tok_per_s", 100.0),
        ("call_acceptance_rate", 0.75),
        ("hit_rate", 0.75),
        ("added_cost_pct", 25.0),
        ("num_run_again", 0.0),
        ("num_diverged", 0.0),
    ],
)
def test_each_metric_by_hand(tmp_path, metric, value):
    write_cells(tmp_path / "runs" / "local" / "fig1", row(0), row(1))
    found = one(of_cells(tmp_path, metric=metric))
    assert found.mid == pytest.approx(value)
    is_timed = metric in ("time_saved_pct", "throughput_gain_pct", "residual_pct")
    assert (found.noise_floor == 0.0) != is_timed


def test_every_metric_is_tried_above():
    (tried,) = (mark.args[1] for mark in test_each_metric_by_hand.pytestmark)
    assert {metric for metric, _ in tried} == METRICS.keys()


def test_counts_are_added_up_over_all_cells(tmp_path):
    again = {"num_ready_hits": 3.0, "num_pending_hits": 1.0}  # of 6 that were predicted
    write_cells(tmp_path / "runs" / "local" / "fig1", row(0, **again), row(1), row(2, num_diverged=3.0))
    found = one(of_cells(tmp_path, metric="num_run_again"))
    assert (found.low, found.mid, found.high, found.noise_floor) == (2.0, 2.0, 2.0, 0.0)
    assert one(of_cells(tmp_path, metric="num_diverged")).mid == 3.0


def test_one_block_has_a_value_and_no_interval(tmp_path):
    write_cells(tmp_path / "runs" / "local" / "fig1", row(0))
    found = one(of_cells(tmp_path))
    assert (found.low, found.mid, found.high, found.noise_floor) == (None, 10.0, None, None)


def test_own_cells_come_before_published_ones_and_a_larger_scale_before_a_smaller(tmp_path):
    for place, saved in (("published/local", 1.0), ("runs/smoke", 2.0), ("runs/local", 3.0)):
        write_cells(tmp_path / place / "fig1", row(0, time_saved_pct=saved), row(1, time_saved_pct=saved))
    found = of_cells(tmp_path)
    assert [(e.mid, e.is_published) for e in found if isinstance(e, Evidence)] == [(3.0, False), (1.0, True)]


def test_published_cells_may_lie_in_any_folder(tmp_path):
    write_cells(tmp_path / "published" / "laptop" / "fig1", row(0), row(1))
    assert one(of_cells(tmp_path)).file == "results/published/laptop/fig1/cells.parquet"


def test_every_scale_is_looked_for():
    assert set(cells.SCALES) == set(SCALES)


def test_experiments_of_one_claim_are_taken_from_one_scale(tmp_path):
    write_cells(tmp_path / "runs" / "local" / "fig1", row(0), row(1))
    for name in ("fig1", "wrong_draft"):
        write_cells(tmp_path / "runs" / "smoke" / name, row(0), row(1))
    found = one(of_cells(tmp_path, experiments=["fig1", "wrong_draft"]))
    assert "results/runs/smoke/fig1/" in found.file and "results/runs/smoke/wrong_draft/" in found.file


def test_a_hit_rate_that_was_set_is_noted(tmp_path):
    write_cells(tmp_path / "runs" / "local" / "fig1", row(0, hit_rate_set=0.8), row(1, hit_rate_set=0.8))
    assert one(of_cells(tmp_path)).is_hit_rate_set


def test_what_is_no_evidence_says_why(tmp_path):
    folder = tmp_path / "runs" / "local" / "fig1"
    assert why(of_cells(tmp_path)) == "there are no cells of fig1"
    write_cells(folder, row(0, num_diverged=None), row(1, num_diverged=0.0))
    assert "has no cell with {'latency_mean_g': 2.0}" in why(of_cells(tmp_path, where={"latency_mean_g": 2.0}))
    assert "has no cell with {'num_samples': 9}" in why(of_cells(tmp_path, minus={"num_samples": 9}))
    assert "has not measured num_diverged in every cell" in why(of_cells(tmp_path, metric="num_diverged"))
    write_cells(folder, row(0), row(1, latency_mean_g=0.0))
    found = of_cells(tmp_path, where={"latency_mean_g": 1.0}, minus={"latency_mean_g": 0.0})
    assert "has no block with both" in why(found)
    write_cells(folder, *({k: v for k, v in row(block).items() if k != "num_diverged"} for block in range(2)))
    assert "has not measured num_diverged" in why(of_cells(tmp_path, metric="num_diverged"))
    write_cells(folder, row(0, origin="modelled"), row(1))
    assert "is modelled; the claim takes measured or replayed" in why(of_cells(tmp_path))


def test_a_table_that_cannot_be_read_is_an_error_and_not_missing_evidence(tmp_path):
    write_cells(tmp_path / "runs" / "local" / "fig1", row(0)).write_text("broken")
    with pytest.raises(ConfigError, match=r"results/runs/local/fig1/cells.parquet cannot be read.*Remove it"):
        of_cells(tmp_path)


RECORD = {
    "size": 32,
    "identical": 12,
    "sequences": 16,
    "none": 0,
    "ratio": {"16": {"o3": [1.1, 1.2, 1.4], "off": [0.9, 1.0, 1.05]}},
    "alone": [None, 1.2, None],
    "floor": {"16": 0.06},
    "loss": [1.0, 2.0],
}


def of_file(results: Path, **spec: Any) -> list[Evidence | Absent]:
    fields = {"name": "engine", "value": "identical", "origin": "replayed"} | spec
    return evidence_of(claim(calculation=None, file=FileEvidence(**fields)), results)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "engine.json").write_text(json.dumps(RECORD))
    return tmp_path


@pytest.mark.parametrize(
    ("spec", "limits"),
    [
        ({}, (12, 12, 12)),
        ({"over": "sequences"}, (0.75, 0.75, 0.75)),
        ({"value": "ratio.16.o3"}, (1.1, 1.2, 1.4)),
        ({"value": "ratio.16.o3", "minus": "ratio.16.off"}, (1.1 - 1.05, 1.2 - 1.0, 1.4 - 0.9)),
        ({"value": "alone"}, (None, 1.2, None)),
        ({"value": "alone", "minus": "identical"}, (None, 1.2 - 12, None)),
        ({"value": "loss.1"}, (2.0, 2.0, 2.0)),
        ({"value": "loss"}, (1.0, 1.5, 2.0)),
        ({"where": {"size": 32}}, (12, 12, 12)),
    ],
)
def test_a_value_is_found_by_its_place(results, spec, limits):
    found = one(of_file(results, **spec))
    assert (found.low, found.mid, found.high) == pytest.approx(limits)
    assert (found.noise_floor, found.file) == (0.0, "results/bench/engine.json")


def test_a_noise_floor_is_found_by_its_place(results):
    assert one(of_file(results, noise_floor="floor.16")).noise_floor == 0.06


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"name": "lossless"}, "results/bench/lossless.json is not there"),
        ({"value": "ratio.8.o3"}, "has no number at ratio.8.o3"),
        ({"value": "ratio"}, "has no number at ratio"),
        ({"value": "loss.7"}, "has no number at loss.7"),
        ({"noise_floor": "floor.8"}, "has no number at floor.8"),
        ({"over": "none"}, "has 0 at none"),
        ({"where": {"size": 128}}, "has not 128 at size"),
    ],
)
def test_a_value_that_is_not_there_is_no_evidence(results, spec, reason):
    assert reason in why(of_file(results, **spec))


def test_a_published_file_stands_behind_the_own_one(results):
    folder = results / "published" / "engine"
    folder.mkdir(parents=True)
    (folder / "engine.json").write_text(json.dumps(RECORD | {"identical": 16}))
    own, published = of_file(results)
    assert isinstance(own, Evidence) and isinstance(published, Evidence)
    assert [(own.mid, own.is_published), (published.mid, published.is_published)] == [(12, False), (16, True)]
    assert published.file == "results/published/engine/engine.json"


def test_a_file_that_is_no_json_is_an_error(results):
    (results / "bench" / "engine.json").write_text("{")
    with pytest.raises(ConfigError, match=r"results/bench/engine\.json is no JSON"):
        of_file(results)
