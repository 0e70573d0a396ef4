"""Tracking a sweep: a run per cell and calibration in one group, and cells that come out the same without it."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.cell import folder_of
from harness.sweep import sweep_id
from harness.tracking.trackers import NoTracker, Trackers
from harness.tracking.wandb_runs import WandbRuns, run_id_of
from tests.harness.command_line import run_here
from tests.harness.configs import cells_of
from tests.harness.experiments import cells_in
from tests.harness.tracking.offline_runs import OfflineRun, runs_in

SIMULATED = ("experiment=fig1", "scale=smoke", "backend=simulated", "scale.num_agents=2", "scale.num_blocks=1")


@pytest.fixture(scope="module")
def tracked(finished: Path) -> list[OfflineRun]:
    """The runs of an experiment against a server."""
    return runs_in(finished / "out")


def run(folder: Path, mode: str) -> int:
    """Run cells in virtual time, with their output in a folder of the mode's name."""
    overrides = (*SIMULATED, f"tracker.mode={mode}", f"output={folder / mode}")
    return run_here(*overrides, bench_folder=folder / "bench")


def of_type(runs: list[OfflineRun], job_type: str) -> list[OfflineRun]:
    return [run for run in runs if run.run.job_type == job_type]


def test_every_cell_and_calibration_is_a_run_and_all_form_a_group(finished: Path, tracked: list[OfflineRun]) -> None:
    cells = of_type(tracked, "cell")
    assert [run.run.display_name for run in cells] == ["fig1 mean_g_0.0 b0", "fig1 mean_g_1.0 b0"]
    assert sorted(run.config["cell"] for run in cells) == sorted(cells_in(finished / "out"))
    assert [run.run.run_id for run in cells] == [run_id_of(finished / "out", run.config["cell"]) for run in cells]
    names = [run.run.display_name.split()[-1] for run in of_type(tracked, "calibration")]
    assert sorted(name[:13] for name in names) == ["calibration-G", "calibration-g"]
    assert len(tracked) == 4
    (group,) = {run.run.run_group for run in tracked}
    assert group.startswith("smoke-fig1-")
    assert {tuple(run.exit_codes) for run in tracked} == {(0,)}


def test_a_cell_is_tracked_with_its_throughput(tracked: list[OfflineRun]) -> None:
    for run in of_type(tracked, "cell"):
        logged = {key for row in run.history for key in row}
        wanted = {"live/throughput_tok_per_s", "base/throughput_tok_per_s", "spec/draft_s", "cell/time_saved_pct"}
        assert wanted <= logged
        live = [row["live/throughput_tok_per_s"] for row in run.history if "live/trajectory_s" in row]
        assert len(live) == 4 * 2, "one row per trajectory of four runs"
        assert min(live) > 0.0
        assert isinstance(run.summary["cell/time_saved_pct"], float)


def test_a_cell_is_tracked_with_its_resolved_configuration_and_where_it_comes_from(tracked: list[OfflineRun]) -> None:
    for run, mean_g in zip(of_type(tracked, "cell"), (0.0, 1.0), strict=True):
        config = run.config
        assert (config["latency"]["mean_g"], config["grid"], config["block"]) == (mean_g, {}, 0)
        assert config["draft"]["place"] == "elsewhere"
        assert config["provenance"]["seed"] == 0
        assert config["provenance"]["packages"]["wandb"]
        assert "git_sha" in config["provenance"]


def test_cells_in_virtual_time_are_tracked_and_come_out_as_those_that_are_not(tmp_path: Path) -> None:
    outputs = {mode: tmp_path / mode for mode in ("offline", "disabled")}
    for mode in outputs:
        assert run(tmp_path, mode) == 0
    runs = of_type(runs_in(outputs["offline"]), "cell")
    assert len(runs) == 2
    assert all("cell/time_saved_pct" in run.history[-1] for run in runs)
    assert not (outputs["disabled"] / "wandb").exists()
    metrics = [
        {name: cell.read_json("metrics.json") for name, cell in cells_in(output).items()} for output in outputs.values()
    ]
    assert metrics[0] == metrics[1]
    shutil.rmtree(next(iter(cells_in(outputs["offline"]).values())).path)
    assert run(tmp_path, "offline") == 0
    again = of_type(runs_in(outputs["offline"]), "cell")
    assert {run.run.run_id for run in again} == {run.run.run_id for run in runs}
    assert {run.run.run_group for run in again} == {run.run.run_group for run in runs}


def test_a_sweep_outlives_a_broken_library_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import wandb

    def fail(**_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(wandb, "init", fail)
    assert run(tmp_path, "offline") == 0
    assert [cell.is_finished for cell in cells_in(tmp_path / "offline").values()] == [True, True]
    assert capfd.readouterr().err.count("No space left on device") == 1


def test_a_block_that_raises_marks_its_run_as_failed(tmp_path: Path) -> None:
    (cell, *_) = cells_of("experiment=fig1", "scale=smoke", "tracker.mode=offline", f"output={tmp_path}")
    with pytest.raises(ZeroDivisionError), Trackers("a sweep", pytest.fail).cell(cell) as tracker:
        tracker.log({"value": 1 / 0})
    (run,) = runs_in(tmp_path)
    assert run.exit_codes == [1]


def test_tracking_switched_off_takes_everything_and_opens_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WandbRuns, "attempt", lambda *_: pytest.fail("the library was asked"))
    (cell, *_) = cells_of("experiment=fig1", "scale=smoke", "tracker=disabled", f"output={tmp_path}")
    trackers = Trackers("a sweep", pytest.fail)
    trackers.prepare(cell.config)
    with trackers.cell(cell) as tracker:
        tracker.log({"a": 1})
    assert isinstance(tracker, NoTracker)
    assert not folder_of(cell).path.exists()
    assert vars(tracker) == {}


def test_the_id_of_a_sweep_stands_for_its_cells_and_their_folders(tmp_path: Path) -> None:
    smoke = ("scale=smoke", f"output={tmp_path}/out")
    cells = cells_of("experiment=fig1", *smoke)
    first = sweep_id(cells)
    assert first == sweep_id(cells_of("experiment=fig1", *smoke, "tracker=disabled", "jobs=slurm"))
    assert first.startswith("smoke-fig1-")
    others = [cells[1:], cells_of("experiment=fig1", "scale=smoke"), cells_of("experiment=fig1", *smoke, "seed=1")]
    assert len({first, *map(sweep_id, others)}) == 4
    several = sweep_id([*cells, *cells_of("experiment=pocket", "scale=smoke", f"output={tmp_path}/pocket")])
    assert several.startswith("smoke-fig1-pocket-")
