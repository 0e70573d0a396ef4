"""How far a sweep is: what is at work by the folders, and how long the rest will take."""

import os
import socket
from pathlib import Path

import pytest

from harness.progress import Pace, attempts_in
from harness.records import RUNNING, RunFolder
from tests.harness.configs import cells_of, config_of


def test_a_cell_takes_as_long_as_those_of_its_setting_else_as_all_others() -> None:
    at_once, at_G, *_ = cells_of("experiment=fig1", "scale=smoke")
    pace = Pace()
    assert pace.left_s({at_once.setting_id: 1}) is None, "nothing is known yet"
    pace.add(at_once, 2.0)
    pace.add(at_once, 4.0)
    assert pace.left_s({at_once.setting_id: 2, at_G.setting_id: 1}) == 3.0 + 3.0 + 3.0
    pace.add(at_G, 12.0)
    assert pace.left_s({at_once.setting_id: 2, at_G.setting_id: 1}) == 3.0 + 3.0 + 12.0
    pace.add(at_G, None)  # nobody has kept how long that one took
    assert pace.cell_s(at_G.setting_id) == 12.0
    assert pace.cell_s("another") == 6.0


def test_what_is_at_work_is_named_with_its_process_until_it_has_ended(tmp_path: Path) -> None:
    assert attempts_in(tmp_path / "nothing") == []
    folder = RunFolder(tmp_path / "cell@b0")
    folder.begin(config_of(), {})
    (attempt,) = attempts_in(tmp_path)
    assert (attempt.name, attempt.host, attempt.pid, attempt.job_id) == (
        "cell@b0", socket.gethostname(), os.getpid(), "",
    )  # fmt: skip
    assert str(attempt) == f"cell@b0 (process {os.getpid()} on {socket.gethostname()}, for 0 min)"
    assert attempts_in(tmp_path, {"another"}) == []
    folder.finish("finished")
    assert attempts_in(tmp_path) == []


def test_a_run_on_a_cluster_is_named_with_its_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "1234")
    RunFolder(tmp_path / "cell").begin(config_of(), {})
    (attempt,) = attempts_in(tmp_path)
    assert str(attempt).startswith("cell (job 1234 on ")


def test_what_was_killed_on_this_machine_is_not_at_work_and_what_runs_on_another_may_be(tmp_path: Path) -> None:
    RunFolder(tmp_path / "cell").begin(config_of(), {})
    (mine,) = (tmp_path / RUNNING).iterdir()
    mine.rename(mine.with_name(f"cell@{socket.gethostname()}@{2**22 + 1}@"))  # more than any process id
    assert attempts_in(tmp_path) == []
    RunFolder(tmp_path / "other").begin(config_of(), {})
    (mine,) = (path for path in (tmp_path / RUNNING).iterdir() if path.name.startswith("other"))
    mine.rename(mine.with_name(f"other@node7@{2**22 + 1}@"))
    assert [attempt.host for attempt in attempts_in(tmp_path)] == ["node7"]
