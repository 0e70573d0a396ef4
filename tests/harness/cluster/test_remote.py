"""Jobs in other processes: by joblib, by submitit's local executor and on a Slurm of scripts. They leave the same
results as a run in this process."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness import job_runner
from harness.cell import folder_of
from harness.cluster.remote import RemoteJob
from harness.jobs import jobs_of
from harness.progress import attempts_in
from precall import tools
from precall.events import EventKind
from tests.harness.cluster.fake_slurm import FakeSlurm
from tests.harness.command_line import run_here
from tests.harness.configs import cells_of

SWEEP = (
    *("experiment=fig1", "scale=smoke", "backend=simulated", "tracker=disabled", "scale.num_agents=2"),
    *("scale.num_blocks=1", "+grid={backend.simulated_target.step_s:[0.004,0.005]}"),  # two sets of servers
)
NUM_CELLS = 4


def run(output: Path, *overrides: str) -> int:
    return run_here(*SWEEP, f"output={output}", *overrides, bench_folder=output.parent / "bench")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The table of a run in this process."""
    output = tmp_path_factory.mktemp("here") / "out"
    assert run(output) == 0
    return pd.read_parquet(output / "cells.parquet")


def assert_same(output: Path, here: pd.DataFrame) -> None:
    assert len(here) == NUM_CELLS
    pd.testing.assert_frame_equal(pd.read_parquet(output / "cells.parquet"), here)


def owners(output: Path) -> set[str]:
    """Return who ran cells: the folders of the jobs' logs."""
    return {folder.name for folder in (output / "logs").iterdir()}


def test_joblib_deals_the_simulated_cells_out_to_its_processes(here: pd.DataFrame, tmp_path: Path) -> None:
    assert run(tmp_path / "out", "jobs=joblib") == 0
    assert_same(tmp_path / "out", here)
    assert len(owners(tmp_path / "out")) == 4, "two jobs in two processes"


def test_the_local_executor_runs_one_job_per_set_of_servers(
    here: pd.DataFrame, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "out", "jobs=submitit_local") == 0
    assert_same(tmp_path / "out", here)
    assert len(owners(tmp_path / "out")) == 2
    captured = capfd.readouterr()
    assert len(json.loads(captured.out)["settings"]) == NUM_CELLS
    assert captured.err.count(": 2 cells, submitted as job ") == 2
    assert f"sweep {NUM_CELLS}/{NUM_CELLS}: fig1, " in captured.err
    logs = [(tmp_path / "out" / "logs" / name / "progress.log").read_text() for name in owners(tmp_path / "out")]
    assert all("2/2: fig1, " in log for log in logs)


def preempt(output: Path) -> None:
    """Send a job that is at a cell the signal with which Slurm announces the end."""
    until_s = time.monotonic() + 30.0
    while time.monotonic() < until_s:
        for attempt in attempts_in(output):
            if attempt.name.startswith("mean_g"):
                os.kill(attempt.pid, signal.SIGUSR2)
                return
        time.sleep(0.005)


def test_a_job_that_slurm_preempts_is_queued_again_and_goes_on(
    here: pd.DataFrame, tmp_path: Path, slurm: FakeSlurm
) -> None:
    thread = threading.Thread(target=preempt, args=(tmp_path / "out",))
    thread.start()
    assert run(tmp_path / "out", "jobs=slurm", "jobs.partition=gpu") == 0
    thread.join()
    assert_same(tmp_path / "out", here)
    assert len(slurm.scripts) == 2
    assert slurm.log.count("Requeued job ") == 1
    for script in slurm.scripts:
        assert "#SBATCH --partition=gpu" in script
        assert "export HF_HUB_OFFLINE=1" in script


def test_preemption_while_a_tools_code_runs_is_not_taken_for_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs_of(cells_of(*SWEEP, f"output={tmp_path}"))[0]
    run_cell, as_text = job_runner.run_cell, tools._as_text

    async def run_preempted(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(job_runner, "run_cell", run_cell)
        monkeypatch.setattr(tools, "_as_text", preempted)
        return await run_cell(*args, **kwargs)

    def preempted(returned: object) -> str:
        monkeypatch.setattr(tools, "_as_text", as_text)
        os.kill(os.getpid(), signal.SIGUSR2)
        return as_text(returned)

    def queue_again(*_: object) -> None:
        sys.exit(-1)

    handler = signal.signal(signal.SIGUSR2, queue_again)
    try:
        monkeypatch.setattr(job_runner, "run_cell", run_preempted)
        with pytest.raises(SystemExit):
            RemoteJob(job)()
        assert signal.getsignal(signal.SIGUSR2) is queue_again
    finally:
        signal.signal(signal.SIGUSR2, handler)
    assert not any(folder_of(cell).is_finished for cell in job.cells)
    assert RemoteJob(job)().error is None
    events = [event for cell in job.cells for run in folder_of(cell).read_events().values() for event in run]
    settled = [event.data["is_error"] for event in events if event.kind is EventKind.CALL_SETTLED]
    assert settled and not any(settled)


def test_a_job_that_fails_says_why_and_the_others_go_on(
    tmp_path: Path, slurm: FakeSlurm, capfd: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "out" / "logs"
    blocked.parent.mkdir()
    blocked.write_text("no folder")
    assert run(tmp_path / "out", "jobs=slurm") == 1
    said = capfd.readouterr().err
    assert "2 of 2 jobs ended with an error." in said
    assert "NotADirectoryError" in said
    assert "The same command again runs only what is missing." in said
