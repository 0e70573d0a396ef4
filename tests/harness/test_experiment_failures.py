"""A whole experiment in which something goes wrong: it says so, keeps what is finished, and can be completed."""

import shutil
import signal
from pathlib import Path

import pytest

from harness.records import RunFolder
from tests.harness.command_line import interrupt, start
from tests.harness.experiments import NUM_REQUESTS_OF_A_CELL, Run, cells_in, flow, statuses
from tests.harness.fake_vllm import FakeVllm


def test_a_server_that_breaks_fails_the_cell_and_the_next_run_completes_it(
    finished: Path, server: FakeVllm, tmp_path: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished / "out", tmp_path / "out")
    for folder in cells_in(tmp_path / "out").values():
        (folder.path / "manifest.json").unlink()
    server.breaks_at = NUM_REQUESTS_OF_A_CELL + 5
    assert run() == 1
    assert statuses(tmp_path / "out") == ["finished", "failed"]
    failed = cells_in(tmp_path / "out").popitem()[1]
    assert failed.manifest is not None
    assert "the engine is dead" in failed.manifest["error"]
    assert set(failed.read_events()) == {"base-1", "spec-1"}, "the evidence until then is kept"
    captured = capfd.readouterr()
    assert "the engine is dead" in captured.err
    assert captured.err.rstrip().endswith("The same command again runs only what is missing.")
    assert "Traceback" not in captured.err
    server.breaks_at = None
    server.requests.clear()
    assert run() == 0
    assert statuses(tmp_path / "out") == ["finished", "finished"]
    assert len(server.requests) == NUM_REQUESTS_OF_A_CELL


def test_a_server_that_breaks_in_a_calibration_fails_it_and_the_next_run_completes(
    server: FakeVllm, tmp_path: Path, run: Run
) -> None:
    for breaks_at, prefix in ((3, "calibration-g"), (8, "calibration-G")):
        server.requests.clear()
        server.breaks_at = breaks_at
        assert run() == 1
        (failed,) = [RunFolder(path) for path in (tmp_path / "out").glob(f"{prefix}-*")]
        assert failed.manifest is not None
        assert failed.manifest["status"] == "failed"
    server.breaks_at = None
    assert run() == 0
    assert statuses(tmp_path / "out") == ["finished", "finished"]


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_an_interrupted_run_ends_cleanly_and_the_next_run_completes(
    finished: Path, server: FakeVllm, tmp_path: Path, run: Run, number: signal.Signals, exit_code: int
) -> None:
    shutil.copytree(finished / "out", tmp_path / "out")
    interrupted, kept = cells_in(tmp_path / "out").values()
    (interrupted.path / "manifest.json").unlink()
    server.hold.clear()
    process = start(*flow(server, tmp_path / "out"))
    code, stderr = interrupt(process, lambda: len(server.requests) == 2, number)
    assert code == exit_code, stderr
    assert stderr.rstrip().endswith("Interrupted. The same command again runs only what is missing.")
    assert "Traceback" not in stderr
    assert interrupted.manifest is None
    assert kept.is_finished
    server.hold.set()
    server.requests.clear()
    assert run() == 0
    assert len(server.requests) == NUM_REQUESTS_OF_A_CELL


def test_an_arm_whose_prompts_differ_is_a_failed_measurement(
    server: FakeVllm, tmp_path: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    server.tampers_at = 6 + 4 + 4  # g and its warm-up, G, the first run of the first cell
    assert run() == 1
    (failed,) = cells_in(tmp_path / "out").values()
    assert failed.manifest is not None
    assert failed.manifest["status"] == "failed"
    stderr = capfd.readouterr().err
    assert "differs between run base-1 and run spec-1: ('prompt', " in stderr
    assert "Traceback" not in stderr


def test_a_server_that_does_not_say_its_prompts_cannot_be_compared(
    server: FakeVllm, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    server.has_prompt_ids = False
    assert run() == 1
    assert "returned no token ids of the prompt" in capfd.readouterr().err


def test_a_draft_that_answers_differently_fails_its_calibration(
    server: FakeVllm, tmp_path: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    server.is_deaf = True
    assert run() == 1
    assert "Is the replay plugin loaded" in capfd.readouterr().err
    assert cells_in(tmp_path / "out") == {}
