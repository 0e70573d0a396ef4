"""Runs of the real library, offline: what they hold, who they bother, and what becomes of them when it fails."""

import io
import logging
import os
import threading
from pathlib import Path

import psutil
import pytest

from harness.schema import TrackerMode
from harness.tracking import wandb_runs
from harness.tracking.wandb_runs import DeferredRun, RunSettings, WandbRuns, check_login, left_offline, run_id_of
from precall.errors import ConfigError
from tests.harness.configs import config_of
from tests.harness.tracking.offline_runs import OfflineRun, runs_in


def settings(folder: Path, name: str = "one", mode: TrackerMode = TrackerMode.offline) -> RunSettings:
    return RunSettings(
        mode=mode,
        project="precall",
        group="a sweep",
        job_type="cell",
        name=name,
        run_id=run_id_of(folder, name),
        folder=folder,
        config={"seed": 7, "workload": {"hit_rate": 0.8}},
    )


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def runs(said: list[str]) -> WandbRuns:
    return WandbRuns(said.append)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> OfflineRun:
    """A run from its start to its end."""
    folder = tmp_path_factory.mktemp("output")
    run = WandbRuns(pytest.fail).open(settings(folder))
    for throughput in (100.0, 250.5):
        run.log({"live/throughput_tok_per_s": throughput, "live/trajectory_s": None})
    run.log({"note": "long " * 20_000})  # a record over several blocks of the file
    run.finish(1)
    (found,) = runs_in(folder)
    return found


def test_an_offline_run_holds_every_throughput_in_its_order(finished: OfflineRun) -> None:
    assert [row.get("live/throughput_tok_per_s") for row in finished.history] == [100.0, 250.5, None]


def test_what_was_not_measured_is_not_logged(finished: OfflineRun) -> None:
    assert not any("live/trajectory_s" in row for row in finished.history)


def test_a_long_record_comes_back_whole(finished: OfflineRun) -> None:
    assert finished.history[-1]["note"] == "long " * 20_000


def test_an_offline_run_holds_what_it_was_opened_with(finished: OfflineRun) -> None:
    run = finished.run
    assert (run.project, run.run_group, run.job_type, run.display_name) == ("precall", "a sweep", "cell", "one")
    assert (finished.config["seed"], finished.config["workload"]) == (7, {"hit_rate": 0.8})
    assert run.resume


def test_an_offline_run_says_how_it_ended(finished: OfflineRun) -> None:
    assert finished.exit_codes == [1]


def test_an_offline_run_tells_the_makers_of_the_library_nothing(finished: OfflineRun) -> None:
    assert not [thread.name for thread in threading.enumerate() if "otel" in thread.name.lower()]


def test_what_is_run_again_has_the_id_it_had_and_nothing_else_has(tmp_path: Path) -> None:
    ids = [run_id_of(tmp_path / folder, name) for folder, name in (("a", "x"), ("a", "y"), ("b", "x"))]
    assert len(set(ids)) == 3
    assert run_id_of(tmp_path / "b" / ".." / "a", "x") == ids[0]


def test_an_offline_run_takes_the_place_of_what_an_earlier_one_has_left(runs: WandbRuns, tmp_path: Path) -> None:
    for value in (1, 2):
        run = runs.open(settings(tmp_path))
        run.log({"value": value})
        run.finish(0)
    (left,) = runs_in(tmp_path)
    assert left_offline(tmp_path, left.run.run_id) == [left.folder]
    assert left.run.run_id == run_id_of(tmp_path, "one")
    assert [row["value"] for row in left.history] == [2]


def test_a_deferred_run_is_opened_when_it_is_finished_and_holds_every_row(runs: WandbRuns, tmp_path: Path) -> None:
    run = DeferredRun(runs, settings(tmp_path))
    for value in (1, 2):
        run.log({"value": value})
    assert runs_in(tmp_path) == []
    run.finish(0)
    (found,) = runs_in(tmp_path)
    assert [row["value"] for row in found.history] == [1, 2]
    assert found.exit_codes == [0]


def test_a_service_that_dies_is_told_once_and_its_run_goes_on_without_it(
    runs: WandbRuns, said: list[str], tmp_path: Path
) -> None:
    run = runs.open(settings(tmp_path))
    (service,) = [each for each in psutil.Process().children() if each.name().startswith("wandb-core")]
    service.kill()
    service.wait(5.0)
    for value in range(100):
        run.log({"value": value})
    run.finish(0)
    runs.open(settings(tmp_path, "two")).finish(0)
    assert runs.has_failed
    assert len(said) == 1
    assert said[0].startswith("W&B is left out from here on: ConnectionResetError")
    healthy = WandbRuns(pytest.fail).open(settings(tmp_path, "three"))
    healthy.finish(0)


def test_a_folder_that_cannot_be_made_is_told_once(runs: WandbRuns, said: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("one", "two"):
        run = runs.open(settings(tmp_path / "file" / "output", name))
        run.log({"value": 1})
        run.finish(0)
    assert len(said) == 1
    assert "Not a directory" in said[0] or "NotADirectory" in said[0]


def test_a_log_of_the_library_on_a_full_disk_is_nothing_to_print(
    runs: WandbRuns, said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    class FullDisk(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(28, "No space left on device")

    full = logging.StreamHandler(FullDisk())
    record = logging.LogRecord("wandb", logging.INFO, "", 0, "a line", None, None)
    runs.attempt(lambda _: full.handle(record))
    assert (said, capsys.readouterr().err) == ([], "")
    full.handle(record)
    assert "No space left on device" in capsys.readouterr().err


def test_a_login_that_fails_is_told_once(
    runs: WandbRuns, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "no key at all")
    run = runs.open(settings(tmp_path, mode=TrackerMode.online))
    run.log({"value": 1})
    run.finish(0)
    assert len(said) == 1
    assert "API key" in said[0]


def test_online_without_an_account_is_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb_runs, "_is_logged_in", lambda: False)
    with pytest.raises(ConfigError, match=r"is online; it needs an account .*WANDB_API_KEY, or set tracker\.mode"):
        check_login(config_of("tracker.mode=online"))
    for mode in ("offline", "auto", "disabled"):
        check_login(config_of(f"tracker.mode={mode}"))


def test_a_key_in_no_form_is_refused_where_runs_are_to_be_online(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wandb import Settings

    host = Settings().base_url.removeprefix("https://")
    (tmp_path / "netrc").write_text(f"machine {host} login user password short\n")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(ConfigError, match="the account's key cannot be read"):
        check_login(config_of("tracker.mode=online"))


@pytest.mark.parametrize(("is_logged_in", "mode"), [(False, "offline"), (True, "online")])
def test_auto_is_online_for_who_is_logged_in_and_offline_for_all_others(
    is_logged_in: bool, mode: str, runs: WandbRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    asked: list[str] = []
    monkeypatch.setattr(wandb_runs, "_is_logged_in", lambda: is_logged_in)
    monkeypatch.setattr(wandb, "init", lambda **settings: asked.append(settings["mode"]))
    runs.open(settings(tmp_path, mode=TrackerMode.auto))
    assert asked == [mode]


@pytest.mark.parametrize(("jobs", "mode"), [("slurm", TrackerMode.offline), ("here", TrackerMode.auto)])
def test_jobs_without_a_network_are_tracked_offline(jobs: str, mode: TrackerMode) -> None:
    assert wandb_runs.mode_of(config_of(f"jobs={jobs}")) is mode
    assert wandb_runs.mode_of(config_of(f"jobs={jobs}", "tracker.mode=online")) is TrackerMode.online


def test_a_key_in_the_environment_is_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert wandb_runs._is_logged_in()


def test_a_home_without_a_key_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert not wandb_runs._is_logged_in()
    assert "WANDB_API_KEY" not in os.environ
