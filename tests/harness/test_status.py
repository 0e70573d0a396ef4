"""`python -m harness.status`: what there is, what is at work, what has failed and what is missing."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness import status
from harness.cell import folder_of
from harness.records import RunFolder
from tests.harness.configs import cells_of, compose

OVERRIDES = ("experiment=fig1", "scale=smoke", "scale.latencies=[0.0,0.5,1.0]", "backend=simulated")


def show(*overrides: str) -> tuple[dict[str, Any], str]:
    stream = io.StringIO()
    found = status.show([compose(*overrides)], Console(file=stream, width=160))
    return found, stream.getvalue()


def leave(folder: RunFolder, cell: Any, state: str | None, error: str | None = None) -> None:
    folder.begin(cell.config, {})
    if state is not None:
        folder.finish(state, error)


def test_the_counts_are_those_of_the_folders(tmp_path: Path) -> None:
    overrides = (*OVERRIDES, f"output={tmp_path}/out")
    cells = cells_of(*overrides)
    for cell, state in zip(cells, ("finished", "finished", "failed", None), strict=False):
        leave(folder_of(cell), cell, state, "the engine is dead\nmore" if state == "failed" else None)
    found, said = show(*overrides)
    assert found["experiments"] == {
        "fig1": {"cells": 6, "finished": 2, "failed": 1, "at_work": 1, "missing": 3},
    }
    assert f"failed: {cells[2].cell_id}: the engine is dead\n" in said
    assert f"at work: {cells[3].cell_id} (process " in said


def test_a_sweep_that_nobody_has_begun_is_missing_and_makes_no_folder(tmp_path: Path) -> None:
    found, said = show(*OVERRIDES, f"output={tmp_path}/out")
    assert found == {
        "experiments": {"fig1": {"cells": 6, "finished": 0, "failed": 0, "at_work": 0, "missing": 6}},
        "gpu_hours": 0,
    }
    assert "?" in said, "nobody knows how long a cell takes"
    assert not (tmp_path / "out").exists()


def test_what_needs_gpus_has_an_estimate(gpus: None) -> None:
    found, said = show("experiment=fig1_paper")
    assert found["gpu_hours"] > 1.0
    assert "estimate (modelled): jobs: 1, " in said


def test_the_last_line_is_one_json_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["harness/status.py", *OVERRIDES, f"output={tmp_path}/out"])
    status.main()
    assert json.loads(capsys.readouterr().out)["experiments"]["fig1"]["missing"] == 6
