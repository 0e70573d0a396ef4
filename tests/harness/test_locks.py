"""Who may run a folder: one process at a time, until it ends, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.locks import held
from harness.records import RUNNING, RunFolder
from tests.harness.configs import config_of

HOLD = """
import sys
from pathlib import Path
from harness.locks import held
from harness.records import RunFolder
with held(RunFolder(Path(sys.argv[1]))) as is_ours:
    print(is_ours, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "out" / "cell")


def test_what_another_process_holds_is_not_ours_until_it_is_killed(folder: RunFolder) -> None:
    command = [sys.executable, "-c", HOLD, str(folder.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        with held(folder) as is_ours:
            assert not is_ours
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        with held(folder) as is_ours:
            assert is_ours


def test_a_process_that_is_started_meanwhile_does_not_inherit_the_lock(folder: RunFolder) -> None:
    with held(folder):
        other = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        with held(folder) as is_ours:
            assert is_ours
    finally:
        other.communicate()


def test_the_lock_is_free_again_after_an_error(folder: RunFolder) -> None:
    with pytest.raises(KeyboardInterrupt), held(folder):
        raise KeyboardInterrupt
    with held(folder) as is_ours:
        assert is_ours


def test_a_finished_run_leaves_no_lock_behind(folder: RunFolder) -> None:
    with held(folder):
        folder.begin(config_of(), {})
        assert (folder.path.parent / RUNNING / "cell.lock").exists()
        folder.finish("finished")
    assert list((folder.path.parent / RUNNING).iterdir()) == []
