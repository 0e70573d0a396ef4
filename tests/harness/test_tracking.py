"""Tracking: an offline run holds the numbers and where they come from, and nobody is asked for an account."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from harness import tracking
from harness.schema import TrackerMode
from harness.tracking import NoTracker, Trackers, WandbTracker
from precall.errors import ConfigError
from tests.harness.configs import config_of as of_cell
from tests.harness.wandb_file import read_records

NAMES = ("fig1", "colocated")


def records_in(output: Path) -> list[Any]:
    """Return the records of the run in `output`. Its end is written moments after `finish` has returned."""
    (file,) = output.glob("wandb/offline-run-*/*.wandb")
    until_s = time.monotonic() + 5.0
    records = list(read_records(file))
    while not any(record.HasField("exit") for record in records) and time.monotonic() < until_s:
        time.sleep(0.05)
        records = list(read_records(file))
    return records


def history_of(records: list[Any]) -> list[dict[str, Any]]:
    rows = [record.history.item for record in records if record.HasField("history")]
    return [{item.key or item.nested_key[0]: json.loads(item.value_json) for item in row} for row in rows]


def config_of(records: list[Any]) -> dict[str, Any]:
    (run,) = [record.run for record in records if record.HasField("run")]
    return {item.key or item.nested_key[0]: json.loads(item.value_json) for item in run.config.update}


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The records of a run that was tracked offline from its start to its end."""
    output = tmp_path_factory.mktemp("output")
    tracker = WandbTracker(
        mode=TrackerMode.offline,
        project="precall",
        name="fig1",
        folder=output,
        config={"seed": 7, "workload": {"hit_rate": 0.8}},
        provenance={"git_sha": "abc", "packages": {"vllm": "0.32.0"}},
    )
    for throughput in (100.0, 250.5):
        tracker.log({"live/throughput_tok_per_s": throughput, "live/trajectory_s": None})
    tracker.log({"note": "long " * 20_000})  # a record over several blocks of the file
    tracker.finish(1)
    return records_in(output)


def test_an_offline_run_holds_every_throughput_in_its_order(records: list[Any]) -> None:
    values = [row.get("live/throughput_tok_per_s") for row in history_of(records)]
    assert values == [100.0, 250.5, None]


def test_what_was_not_measured_is_not_logged(records: list[Any]) -> None:
    assert not any("live/trajectory_s" in row for row in history_of(records))


def test_an_offline_run_holds_the_configuration_and_where_it_comes_from(records: list[Any]) -> None:
    config = config_of(records)
    assert (config["seed"], config["workload"]) == (7, {"hit_rate": 0.8})
    assert config["provenance"] == {"git_sha": "abc", "packages": {"vllm": "0.32.0"}}


def test_an_offline_run_says_how_it_ended(records: list[Any]) -> None:
    assert [record.exit.exit_code for record in records if record.HasField("exit")] == [1]


def test_a_long_record_comes_back_whole(records: list[Any]) -> None:
    assert history_of(records)[-1]["note"] == "long " * 20_000


def test_an_experiment_is_tracked_with_its_throughput_and_its_provenance(finished: Path) -> None:
    records = records_in(finished / "out")
    logged = {key for row in history_of(records) for key in row}
    assert {"live/throughput_tok_per_s", "base/throughput_tok_per_s", "spec/draft_s", "cell/time_saved_pct"} <= logged
    throughput = [row["live/throughput_tok_per_s"] for row in history_of(records) if "live/trajectory_s" in row]
    assert len(throughput) == 2 + 2 + 2 * 4 * 2, "one row per trajectory: g, G, and two cells of four runs"
    assert all(value > 0.0 for value in throughput[2:])  # of the draft's calibration no target's tokens are counted
    config = config_of(records)
    assert config["draft"]["place"] == "elsewhere"
    provenance = config["provenance"]
    assert provenance["seed"] == 0
    assert provenance["packages"]["wandb"]
    assert "git_sha" in provenance


def test_the_experiments_of_a_sweep_are_tracked_at_the_same_time_each_in_a_run_of_its_own(tmp_path: Path) -> None:
    configs = [of_cell(f"experiment={name}", "tracker.mode=offline", f"output={tmp_path}/{name}") for name in NAMES]
    trackers = Trackers()
    for value in (1.0, 2.0):
        for config in configs:
            trackers.of(config).log({config.experiment: value})
    trackers.finish(0)
    for name in NAMES:
        records = records_in(tmp_path / name)
        assert [row[name] for row in history_of(records)] == [1.0, 2.0]
        assert {row for each in history_of(records) for row in each}.isdisjoint({*NAMES} - {name})
        (run,) = [record.run for record in records if record.HasField("run")]
        assert (run.display_name, run.run_group) == (name, name)


def test_online_without_an_account_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "_is_logged_in", lambda: False)
    with pytest.raises(ConfigError, match=r"tracker\.mode is online; it needs an account .*tracker\.mode=offline"):
        WandbTracker(mode=TrackerMode.online, project="p", name="n", folder=tmp_path, config={}, provenance={})


@pytest.mark.parametrize(("is_logged_in", "mode"), [(False, "offline"), (True, "online")])
def test_auto_is_online_for_who_is_logged_in_and_offline_for_all_others(
    is_logged_in: bool, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    asked: list[str] = []
    monkeypatch.setattr(tracking, "_is_logged_in", lambda: is_logged_in)
    monkeypatch.setattr(wandb, "init", lambda **settings: asked.append(settings["mode"]))
    WandbTracker(mode=TrackerMode.auto, project="p", name="n", folder=tmp_path, config={}, provenance={})
    assert asked == [mode]


def test_a_key_in_the_environment_is_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert tracking._is_logged_in()


def test_a_home_without_a_key_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert not tracking._is_logged_in()


def test_tracking_switched_off_takes_everything_and_keeps_nothing() -> None:
    tracker = NoTracker()
    tracker.log({"a": 1})
    tracker.finish(0)
    assert vars(tracker) == {}
