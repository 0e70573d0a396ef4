"""The copy of results: artifacts, tables and verdicts, read back from an offline run of the real library."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure
from rich.console import Console

from harness.tracking.__main__ import copy_results
from precall.errors import ConfigError
from tests.harness.configs import compose
from tests.harness.tracking.offline_runs import OfflineRun, runs_in

CONSOLE = Console(quiet=True)
EXPERIMENTS = ("fig1", "pocket")
CLAIMS = {
    "reproduced": 1,
    "not_reproduced": 0,
    "verdicts": [
        {"id": "one", "outcome": "reproduced", "found": [1.0, 2.0, 3.0], "noise_floor": None},
        {"id": "two", "outcome": "not testable here", "found": None, "noise_floor": 0.5},
    ],
}


def nodes(folder: Path, mode: str = "offline") -> list[Any]:
    return [
        compose(f"experiment={name}", "scale=smoke", f"tracker.mode={mode}", f"output={folder}/runs/smoke/{name}")
        for name in EXPERIMENTS
    ]


def rows(throughput: float) -> pd.DataFrame:
    return pd.DataFrame({"cell_id": ["a", "b"], "throughput": [throughput, float("nan")], "num_agents": [2, 4]})


def fill(folder: Path) -> None:
    """Make every kind of result."""
    for number, name in enumerate(EXPERIMENTS):
        output = folder / "runs" / "smoke" / name
        output.mkdir(parents=True)
        rows(100.0 + number).to_parquet(output / "cells.parquet")
    (folder / "figures" / "replayed").mkdir(parents=True)
    for file in ("fig1.png", "fig1.pdf", "replayed/fig1.png"):
        Figure((1, 1)).savefig(folder / "figures" / file)
    (folder / "figures" / "api.md").write_text("| a |\n")
    (folder / "figures" / "fig1.png.partial").write_text("")
    (folder / "bench").mkdir()
    (folder / "bench" / "claims.json").write_text(json.dumps(CLAIMS))
    (folder / "report.html").write_text("<p>report</p>")


def copies(folder: Path) -> list[Path]:
    """Return the library's copies of what is in artifacts."""
    return [file for file in (folder / "runs/smoke/wandb").glob("artifacts-*/**/*") if file.is_file()]


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_DATA_DIR", "set by the copy")


@pytest.fixture
def copied(tmp_path: Path) -> OfflineRun:
    fill(tmp_path)
    assert copy_results(nodes(tmp_path), CONSOLE, tmp_path) is not None
    (run,) = runs_in(tmp_path / "runs" / "smoke")
    return run


def test_every_kind_of_result_is_an_artifact_of_one_run_with_all_its_files(copied: OfflineRun, tmp_path: Path) -> None:
    artifacts = {kind: files for kind, files in copied.artifacts.items() if kind != "run_table"}
    sources = {
        "figures": {
            name: tmp_path / "figures" / name for name in ("api.md", "fig1.pdf", "fig1.png", "replayed/fig1.png")
        },
        "tables": {f"{name}/cells.parquet": tmp_path / f"runs/smoke/{name}/cells.parquet" for name in EXPERIMENTS},
        "verdicts": {"claims.json": tmp_path / "bench" / "claims.json"},
        "report": {"report.html": tmp_path / "report.html"},
    }
    assert {kind: set(files) for kind, files in artifacts.items()} == {kind: set(of) for kind, of in sources.items()}
    for kind, files in sources.items():
        for name, source in files.items():
            copy = artifacts[kind][name]
            assert copy != source, "a later figure of that name leaves the copy as it is"
            assert copy.read_bytes() == source.read_bytes()
            assert copy.is_relative_to(tmp_path), "nothing lies about in the home folder"


def test_the_run_of_results_is_in_the_group_of_the_cells(copied: OfflineRun) -> None:
    run = copied.run
    assert run.run_group.startswith("smoke-fig1-pocket-")
    assert (run.job_type, run.display_name) == ("results", f"results {run.run_group}")
    assert set(copied.config["experiments"]) == set(EXPERIMENTS)
    assert copied.exit_codes == [0]


def test_cells_come_as_tables_with_nothing_where_nothing_was_measured(copied: OfflineRun) -> None:
    assert copied.table("cells/pocket") == [
        {"cell_id": "a", "throughput": 101.0, "num_agents": 2},
        {"cell_id": "b", "throughput": None, "num_agents": 4},
    ]
    assert copied.table("cells/fig1")[0]["throughput"] == 100.0


def test_verdicts_come_as_a_table_and_their_counts_in_the_summary(copied: OfflineRun) -> None:
    assert copied.table("verdicts") == [
        {"id": "one", "outcome": "reproduced", "found": "[1.0, 2.0, 3.0]", "noise_floor": None},
        {"id": "two", "outcome": "not testable here", "found": None, "noise_floor": 0.5},
    ]
    assert (copied.summary["verdicts/reproduced"], copied.summary["verdicts/not_reproduced"]) == (1, 0)


def test_figures_are_shown_as_images(copied: OfflineRun) -> None:
    shown = {key.split("|")[0] for key in copied.summary if key.endswith("|format")}
    assert shown == {"figures/fig1", "figures/replayed/fig1"}


def test_a_second_copy_takes_the_place_of_the_first(copied: OfflineRun, tmp_path: Path) -> None:
    num_copies, run_id = len(copies(tmp_path)), copied.run.run_id
    (tmp_path / "report.html").write_text("<p>newer</p>")
    again = copy_results(nodes(tmp_path), CONSOLE, tmp_path)
    (run,) = runs_in(tmp_path / "runs" / "smoke")
    assert again is not None and again.folder is not None and again.folder.samefile(run.folder)
    assert run.run.run_id == run_id
    assert run.artifacts["report"]["report.html"].read_text() == "<p>newer</p>"
    assert len(copies(tmp_path)) == num_copies


def test_what_is_not_there_yet_is_left_out(tmp_path: Path) -> None:
    assert copy_results(nodes(tmp_path), CONSOLE, tmp_path) is None
    assert not (tmp_path / "runs").exists()
    (tmp_path / "report.html").write_text("<p>report</p>")
    copied = copy_results(nodes(tmp_path), CONSOLE, tmp_path)
    assert copied is not None and copied.num_files == {"report": 1}


def test_nothing_is_copied_with_tracking_switched_off(tmp_path: Path) -> None:
    fill(tmp_path)
    assert copy_results(nodes(tmp_path, "disabled"), CONSOLE, tmp_path) is None
    assert not (tmp_path / "runs" / "smoke" / "wandb").exists()


def test_a_copy_that_fails_is_told_and_ends_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path)
    (tmp_path / "bench" / "claims.json").write_text("{")
    assert copy_results(nodes(tmp_path), Console(), tmp_path) is None
    assert capsys.readouterr().out.startswith("W&B is left out from here on: JSONDecodeError")


def test_online_without_an_account_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(ConfigError, match=r"tracker\.mode is online; it needs an account"):
        copy_results(nodes(tmp_path, "online"), CONSOLE, tmp_path)
