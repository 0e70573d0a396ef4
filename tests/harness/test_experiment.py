"""A whole experiment against a server in the place of vLLM: what it leaves, and what a second run of it does."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from harness.replay.trajectories import read_trajectories
from tests.harness.command_line import run_here
from tests.harness.experiments import NUM_REQUESTS_OF_A_CELL, Run, cells_in, flow, statuses
from tests.harness.fake_vllm import FakeVllm


def test_a_run_leaves_a_finished_cell_per_setting_with_all_its_evidence(finished: Path) -> None:
    assert statuses(finished / "out") == ["finished", "finished"]
    for folder in cells_in(finished / "out").values():
        assert folder.manifest is not None
        runs = ["base-1", "base-2", "spec-1", "spec-2"]
        evidence = ["config.yaml", "events.jsonl", "metrics.json", "provenance.json"]
        assert folder.manifest["files"] == [*evidence, *(f"trajectories-{name}.jsonl" for name in runs)]
        assert list(folder.read_events()) == ["base-1", "spec-1", "spec-2", "base-2"]
        metrics = folder.read_json("metrics.json")
        # Per task two prompts, what was generated for each, and an observation; two tasks. Prompts of two spec runs.
        assert metrics["num_identical"] == 10
        assert metrics["num_prompts"] == metrics["num_equal_prompts"] == 8
        assert metrics["runs"]["base-1"]["num_trajectories"] == 2
        assert (metrics["runs"]["base-1"]["engine_steps"], metrics["runs"]["base-1"]["decode_steps"]) == (4, 4)
        assert metrics["runs"]["base-1"]["scheduled_tokens"] == metrics["runs"]["base-1"]["num_output_tokens"] + 4


def test_what_a_run_recorded_is_what_it_replayed(finished: Path) -> None:
    for folder in cells_in(finished / "out").values():
        sets = [read_trajectories(file) for file in sorted(folder.path.glob("trajectories-base-*.jsonl"))]
        said = [
            [[(t.reasoning, t.content, t.calls) for t in trajectory.turns] for trajectory in each.trajectories]
            for each in sets
        ]
        assert said[0] == said[1]
        assert [len(trajectory) for trajectory in said[0]] == [2, 2]


def test_a_run_writes_its_tables_and_its_last_line(finished: Path) -> None:
    frame = pd.read_parquet(finished / "out" / "cells.parquet")
    assert frame["latency_mean_g"].tolist() == [0.0, 1.0]
    assert frame["origin"].tolist() == ["replayed", "replayed"]
    assert (frame["latency_mean_s"] > 0).tolist() == [False, True]
    without, with_latency = frame["ceiling_time_saved_pct"]
    assert 0.0 <= without < with_latency <= 50.0, "no draft halves more than the time"
    assert not frame[["is_residency", "is_drafting"]].any(axis=None)
    kept = json.loads((finished / "bench" / "fig1.json").read_text())
    assert [setting["latency_mean_g"] for setting in kept["settings"]] == [0.0, 1.0]
    assert kept["provenance"]["seed"] == 0


def test_the_last_line_on_stdout_is_one_json_object(
    finished: Path, server: FakeVllm, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished / "out", tmp_path / "out")
    assert run_here(*flow(server, tmp_path / "out"), bench_folder=tmp_path / "bench") == 0
    captured = capfd.readouterr()
    assert json.loads(captured.out)["experiment"] == "fig1"
    assert "2 of 2 cells are there already" in captured.err


def test_a_finished_run_asks_no_server_for_anything(finished: Path, server: FakeVllm, tmp_path: Path, run: Run) -> None:
    shutil.copytree(finished / "out", tmp_path / "out")
    assert run() == 0
    assert (server.requests, server.paths) == ([], [])


def test_a_cell_that_was_finished_before_a_metric_existed_is_read_as_not_having_measured_it(
    finished: Path, tmp_path: Path, run: Run
) -> None:
    shutil.copytree(finished / "out", tmp_path / "out")
    (older, _) = (folder.path / "metrics.json" for folder in cells_in(tmp_path / "out").values())
    older.write_text(older.read_text().replace('"decode_steps"', '"a metric of the past"'))
    assert run() == 0
    frame = pd.read_parquet(tmp_path / "out" / "cells.parquet")
    assert frame["decode_steps_base"].isna().tolist() == [True, False]


def test_a_cell_that_lost_its_manifest_is_run_again_and_no_other(
    finished: Path, server: FakeVllm, tmp_path: Path, run: Run
) -> None:
    shutil.copytree(finished / "out", tmp_path / "out")
    lost, kept = cells_in(tmp_path / "out").values()
    before = {file.name: file.read_bytes() for file in kept.path.iterdir()}
    (lost.path / "manifest.json").unlink()
    assert run() == 0
    assert len(server.requests) == NUM_REQUESTS_OF_A_CELL
    assert statuses(tmp_path / "out") == ["finished", "finished"]
    assert {file.name: file.read_bytes() for file in kept.path.iterdir()} == before


def test_the_baseline_against_itself_asks_no_draft(server: FakeVllm, tmp_path: Path, run: Run) -> None:
    assert run("speculation=off", "scale.latencies=[0.0]") == 0
    assert {request["model"] for request in server.requests} == {"replay_tiny"}
    (folder,) = cells_in(tmp_path / "out").values()
    metrics = folder.read_json("metrics.json")
    assert metrics["predicted_time_saved_pct"] is None
    assert metrics["runs"]["spec-1"]["num_launched"] == 0


def test_live_models_behind_somebody_elses_server_are_asked_by_the_names_it_knows(
    server: FakeVllm, tmp_path: Path, run: Run
) -> None:
    live = ["model.is_replay=false", "draft=colocated", "draft.model.is_replay=false", "scale.latencies=[1.0]"]
    assert run(*live) == 0
    assert {request["model"] for request in server.requests} == {"replay_tiny", "replay_tiny_draft"}
    assert all("cache_salt" not in request and "vllm_xargs" not in request for request in server.requests)
    frame = pd.read_parquet(tmp_path / "out" / "cells.parquet")
    assert frame["origin"].tolist() == ["measured"]
    assert frame["num_identical"].isna().all()
    assert frame["num_confirmed"].tolist() == [2.0]
