"""The command line of the harness, run in this process or in one of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra._internal.hydra import Hydra

from harness import bench, run, runner
from harness.provenance import ROOT


def run_here(*overrides: str, bench_folder: Path) -> int:
    """Run `python -m harness.run` with these overrides in this process and return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["harness/run.py", *overrides])
        # Whether to run once or often is said by -m alone; Hydra would compose everything to see if it is said there.
        patch.setattr(Hydra, "get_mode", lambda *_, **__: None)
        patch.setattr(bench, "FOLDER", bench_folder)
        patch.setattr(runner, "GOING_S", 0.1)
        try:
            run.main()
        except SystemExit as end:
            assert isinstance(end.code, int), f"it ends with {end.code!r}"
            return end.code
    return 0


def start(*overrides: str) -> subprocess.Popen[str]:
    """Start `python -m harness.run` with these overrides in a process of its own."""
    command = [sys.executable, "-m", "harness.run", *overrides]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def interrupt(process: subprocess.Popen[str], when: Callable[[], bool], number: signal.Signals) -> tuple[int, str]:
    """Send `number` once `when` says so, and return the exit code and what came on stderr."""
    until_s = time.monotonic() + 30.0
    while not when() and time.monotonic() < until_s and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30.0)
    return process.returncode, stderr
