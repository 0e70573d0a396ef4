"""`python -m harness.run` whose target dies, or which is interrupted: what it says, what it leaves, how it goes on."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from harness import bench
from harness.provenance import ROOT

pytestmark = pytest.mark.engine

# Without speculation: no draft to measure, and two cells of a few seconds each.
COMMAND = """experiment=fig1 speculation=off agent.num_agents=2 agent.tasks_per_agent=1 scale.num_blocks=2
    grid={latency.mean_g:[0.0]} workload.reasoning_words_mean=40.0 backend.kv_cache_gib=1 tracker=disabled""".split()
START_S = 120.0
STOP_S = 20.0


@pytest.fixture(autouse=True)
def kept_figures() -> Iterator[None]:
    """Keep the figures of the user's last run of the experiment: a run writes its own in their place."""
    file = bench.FOLDER / "fig1.json"
    kept = file.read_bytes() if file.exists() else None
    yield
    if kept is not None:
        file.write_bytes(kept)
    else:
        file.unlink(missing_ok=True)


@dataclass(slots=True)
class Run:
    """One run of the harness in a process of its own; `seen` holds every process it has been seen to have."""

    folder: Path
    process: subprocess.Popen[bytes]
    seen: dict[int, psutil.Process] = field(default_factory=dict)

    @property
    def stderr(self) -> str:
        return (self.folder / "stderr").read_text()

    def descendants(self) -> list[psutil.Process]:
        found = psutil.Process(self.process.pid).children(recursive=True)
        self.seen |= {process.pid: process for process in found}
        return found

    def wait_until(self, is_reached: Callable[[], bool], within_s: float) -> None:
        until_s = time.monotonic() + within_s
        while not is_reached():
            assert self.process.poll() is None, f"the run ended with {self.process.returncode}:\n{self.stderr}"
            assert time.monotonic() < until_s, f"not reached within {within_s} s:\n{self.stderr}"
            self.descendants()
            time.sleep(0.02)

    def engine_core(self) -> psutil.Process | None:
        """Return the process of the target that computes."""
        for process in self.descendants():
            try:
                if process.cmdline()[:1] == ["VLLM::EngineCore"]:
                    return process
            except psutil.NoSuchProcess:
                continue
        return None

    def left(self) -> list[psutil.Process]:
        """Return what still runs of all processes seen."""
        return [process for process in self.seen.values() if is_running(process)]


def is_running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Run]]:
    """Return the function that starts the run; the same command each time, in the same folder."""
    runs: list[Run] = []
    # What a shell starts in the background ignores interrupts, and hands that on; what handles them does not.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def start() -> Run:
        command = [sys.executable, "-m", "harness.run", *COMMAND, f"output={tmp_path / 'runs'}"]
        with (tmp_path / "stderr").open("wb") as stderr, (tmp_path / "stdout").open("wb") as stdout:
            process = subprocess.Popen(command, cwd=ROOT, stdout=stdout, stderr=stderr, start_new_session=True)
        runs.append(Run(tmp_path, process))
        return runs[-1]

    yield start
    signal.signal(signal.SIGINT, before)
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait()
        for process in run.left():
            process.kill()


def manifests(tmp_path: Path) -> dict[str, dict[str, object]]:
    """Return the manifest of every cell that has one, by its block."""
    files = (tmp_path / "runs").glob("mean_g_0.0-b*/manifest.json")
    return {file.parent.name.split("-")[1]: json.loads(file.read_text()) for file in files}


def test_a_run_whose_target_is_killed_says_so_and_the_same_command_runs_what_is_missing(start, tmp_path):
    run = start()
    run.wait_until(lambda: "b0" in manifests(tmp_path), START_S)
    run.engine_core().send_signal(signal.SIGKILL)
    assert run.process.wait(STOP_S) == 1
    assert not run.left()
    message = run.stderr[run.stderr.rindex("The target server ended with exit status") :]
    quoted = [line.removeprefix("  | ") for line in message.splitlines() if line.startswith("  | ")]
    log = (tmp_path / "runs" / "logs" / "target.log").read_text().splitlines()
    assert len(quoted) > 5 and set(quoted) <= {line.rstrip() for line in log}
    assert any("EngineDeadError" in line for line in quoted)  # not hidden by what vLLM prints after it
    assert "Traceback (most recent call last)" not in run.stderr.replace(message, "")
    assert message.endswith("The same command again runs only what is missing.\n")
    first, broken = manifests(tmp_path)["b0"], manifests(tmp_path)["b1"]
    assert (first["status"], broken["status"]) == ("finished", "failed")
    assert str(broken["error"]).startswith("The target server ended with exit status")

    again = start()
    assert again.process.wait(START_S) == 0, again.stderr
    assert "fig1: 1 of 2 cells are there already" in again.stderr
    assert "measuring G" not in again.stderr
    assert manifests(tmp_path)["b0"] == first and manifests(tmp_path)["b1"]["status"] == "finished"
    figures = json.loads((tmp_path / "stdout").read_text().splitlines()[-1])
    assert [setting["num_blocks"] for setting in figures["settings"]] == [2]


@pytest.mark.parametrize("moment", ["the supervisor is there", "the engine core is there"])
def test_a_run_interrupted_while_its_target_starts_ends_with_130_and_leaves_no_process(start, moment):
    run = start()
    is_there = {"the supervisor is there": run.descendants, "the engine core is there": run.engine_core}[moment]
    run.wait_until(lambda: "target: starting" in run.stderr and bool(is_there()), START_S)
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(STOP_S) == 130
    assert not run.left()
    assert run.stderr.splitlines()[-1] == "Interrupted. The same command again runs only what is missing."
    assert "Traceback" not in run.stderr
