"""Fake servers for the tests, and a way to see what is left of them."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from harness.backends.processes import ServerProcess

FAKE_SERVER = Path(__file__).with_name("fake_server.py")


@pytest.fixture
def make_server(tmp_path: Path) -> Callable[..., ServerProcess]:
    def make(*options: str, **settings: object) -> ServerProcess:
        settings = {"name": "target", "log_path": tmp_path / "target.log", "start_timeout_s": 10.0} | settings
        command = lambda port: [sys.executable, str(FAKE_SERVER), "--port", str(port), *options]  # noqa: E731
        return ServerProcess(command=command, **settings)

    return make


class Witness:
    """Knows the processes that wrote their ids to a file, also once they have gone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.processes: list[psutil.Process] = []

    def see(self, num_processes: int) -> None:
        """Wait until so many processes have written their ids."""
        until_s = time.monotonic() + 5
        while time.monotonic() < until_s:
            pids = self.path.read_text().split() if self.path.exists() else []
            if len(pids) == num_processes:
                self.processes = [psutil.Process(int(pid)) for pid in pids]
                return
            time.sleep(0.02)
        raise AssertionError(f"{len(pids)} of {num_processes} processes have come up")

    def running(self) -> list[psutil.Process]:
        return [process for process in self.processes if _is_running(process)]

    def gone(self, within_s: float) -> bool:
        """Wait until none of the processes is left; False when the time is over first."""
        until_s = time.monotonic() + within_s
        while self.running() and time.monotonic() < until_s:
            time.sleep(0.02)
        return not self.running()


def _is_running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    witness = Witness(tmp_path / "pids")
    yield witness
    for process in witness.running():
        process.kill()
