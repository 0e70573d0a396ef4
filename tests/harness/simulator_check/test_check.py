"""The check against a truth that is known: cells of a simulated engine, from which its rates must be found again."""

import json
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from harness.run import run_experiments
from harness.simulator_check import __main__ as command
from harness.simulator_check import fit
from harness.simulator_check.cells import read_cells
from harness.simulator_check.fit import engines_of, times_of
from harness.simulator_check.simulation import run, saved_pct
from precall.errors import ConfigError
from tests.harness.configs import compose

TRUTH = {
    "core.client_s": 0.004,
    "core.stream_token_s": 0.0001,
    "replay_tiny.step_s": 0.004,
    "replay_tiny.sequence_s": 0.0003,
    "replay_tiny.prefill_token_s": 0.0001,
    "replay_tiny.overhead_s": 0.003,
    "replay_tiny_draft.step_s": 0.003,
    "replay_tiny_draft.sequence_s": 0.0004,
    "replay_tiny_draft.prefill_token_s": 0.00008,
}


def values(owner: str) -> str:
    """Return what the truth says of the core or an engine, as an override."""
    own = {name.removeprefix(f"{owner}."): value for name, value in TRUTH.items() if name.startswith(f"{owner}.")}
    own |= {} if owner == "core" else {"overhead_s": TRUTH["replay_tiny.overhead_s"]}
    return "{" + ",".join(f"{name}:{value}" for name, value in own.items()) + "}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an experiment that has run on simulated engines: 1 and 4 agents, two drafts, two
    latencies."""
    folder = tmp_path_factory.mktemp("measured")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.bench.FOLDER", folder / "bench")
        overrides = (
            *("experiment=simulator_check", "scale=smoke", "scale.num_blocks=2", "backend=simulated_two_cores"),
            *("tracker=disabled", f"output={folder}"),
            "grid={agent.num_agents:[1,4],latency.mean_g:[0.0,1.0],draft.place:[elsewhere,colocated]}",
            f"backend.simulated_target={values('replay_tiny')}",
            f"backend.simulated_draft={values('replay_tiny_draft')}",
            f"backend.simulated_core={values('core')}",
        )
        run_experiments([compose(*overrides)])
    return folder


@pytest.fixture(scope="module")
def cells(folder: Path) -> list:
    return read_cells([folder])


def test_the_engines_that_made_the_cells_take_exactly_the_times_that_were_measured(cells):
    for cell in cells:
        engines = engines_of(TRUTH, cell)
        assert saved_pct(cell, engines) == pytest.approx(cell.row["time_saved_pct"], abs=1e-6)
        for arm in ("base", "spec"):
            measured, simulated = times_of(cell.runs_of(arm)), times_of([run(cell, engines, arm).events])
            assert simulated.seconds == pytest.approx(measured.seconds)
            assert simulated.done_share == measured.done_share


def test_a_draft_alone_takes_what_it_took_in_its_calibration(cells):
    for cell in cells:
        measured_s = [s for task in cell.tasks for turn in cell.draft_s[task.task_id] for s in turn]
        assert fit.draft_alone_s(cell, engines_of(TRUTH, cell)) == pytest.approx(sum(measured_s) / len(measured_s))


def test_a_fit_to_the_cells_without_tool_latency_predicts_the_others(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("harness.bench.FOLDER", tmp_path)
    command.check([folder], ["latency_mean_g=0"], Console(quiet=True))
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (figures["num_calibration_cells"], figures["num_cells"], figures["num_settings"]) == (8, 8, 4)
    assert figures["fit_rms_pct"] < 2.0
    assert figures["rms_points"] < 1.0
    assert figures["num_within"] == 4
    kept = json.loads((tmp_path / "simulator_check.json").read_text())
    assert kept["parameters"]["replay_tiny.step_s"] == pytest.approx(TRUTH["replay_tiny.step_s"], rel=0.05)
    frame = pd.read_parquet(tmp_path / "simulator_check" / "cells.parquet")
    assert set(frame["origin"]) == {"modelled"}
    assert frame["is_held_out"].tolist() == (frame["latency_mean_g"] > 0).tolist()


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (["latency_mean_g=7"], "latency_mean_g=7, which no cell follows; some must, and others not"),
        (["num_samples=1"], "num_samples=1, which all cells follow"),
        (["num_agents=1", "num_agents=4"], "num_agents=1 or num_agents=4, which all cells follow"),
        (["num_agents=1 num_agents=4"], "num_agents=1 num_agents=4, which no cell follows"),
        (["moon=1"], "moon is no column; there are cell_id"),
        (["num_agents=many"], "num_agents=many; num_agents is like"),
    ],
)
def test_a_rule_that_splits_nothing_is_refused(rules, message, folder):
    with pytest.raises(ConfigError, match=message):
        command.check([folder], rules, Console(quiet=True))


def test_a_folder_without_cells_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"holds no cells.parquet; name an experiment's folder"):
        read_cells([tmp_path])
