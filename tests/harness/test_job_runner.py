"""Jobs: which cells go together, in which order, how often servers are started, and what is left to others."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest
from rich.console import Console

from harness import job_runner, servers
from harness.backends.vllm_settings import VllmServerSettings
from harness.calibration import Calibration
from harness.cell import folder_of
from harness.display import Display
from harness.job_runner import JobRunner
from harness.jobs import Job, jobs_of, servers_of
from harness.locks import held
from harness.progress import Pace
from harness.records import RunFolder
from harness.schema import Config
from harness.sweep import Cell
from harness.tracking import Trackers
from precall.errors import BackendError
from tests.harness.configs import cells_of


class StubServer:
    """Stands for a vLLM server, and counts how often one with its settings is started."""

    starts: ClassVar[Counter[VllmServerSettings]] = Counter()

    def __init__(self, settings: VllmServerSettings, **_: Any) -> None:
        self.settings = settings

    async def __aenter__(self) -> Self:
        StubServer.starts[self.settings] += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


class Stubs:
    """What runs in the place of cells and calibrations: it leaves a finished folder, and its name in `ran`."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.failing: set[str] = set()

    def leave(self, folder: RunFolder, config: Config, files: dict[str, Any]) -> None:
        folder.begin(config, {})
        for name, value in files.items():
            folder.write_json(name, value)
        self.ran.append(folder.path.name)
        if folder.path.name in self.failing:
            folder.finish("failed", "the engine is dead")
            raise BackendError("the engine is dead")
        folder.finish("finished")

    async def cell(self, cell: Cell, *_: Any, **__: Any) -> dict[str, Any]:
        self.leave(folder_of(cell), cell.config, {})
        metrics = ("time_saved_pct", "noise_pct", "predicted_time_saved_pct", "latency_mean_s")
        return dict.fromkeys(metrics, 0.0)

    async def calibration(self, calibration: Calibration, *_: Any) -> None:
        self.leave(calibration.folder, calibration.config, {"draft_times.json": {}})


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubs]:
    stubs = Stubs()
    StubServer.starts = Counter()
    monkeypatch.setattr(servers, "VllmServer", StubServer)
    monkeypatch.setattr(job_runner, "run_cell", stubs.cell)
    monkeypatch.setattr(job_runner, "measure_draft", stubs.calibration)
    monkeypatch.setattr(job_runner, "measure_baseline", stubs.calibration)
    monkeypatch.setattr(job_runner, "measured_G_s", lambda _: 1.0)
    cores = os.sched_getaffinity(0)
    yield stubs
    os.sched_setaffinity(0, cores)


def cells(output: Path, *names: str) -> list[Cell]:
    """The cells of these experiments, in their order, each with a folder of its own."""
    size = ("scale=smoke", "tracker=disabled")
    return [cell for name in names for cell in cells_of(f"experiment={name}", *size, f"output={output}/{name}")]


def run(jobs: list[Job]) -> list[Cell]:
    """Run the jobs and return the cells that are finished then, in that order."""
    finished: list[Cell] = []
    display = Display("sweep", 1, Console(quiet=True))
    JobRunner(display=display, trackers=Trackers(), pace=Pace(), on_cell=finished.append).run(jobs)
    return finished


def test_a_job_has_all_cells_that_need_its_servers_also_those_of_another_experiment(tmp_path: Path) -> None:
    jobs = jobs_of(cells(tmp_path, "fig1", "wrong_draft", "pocket"))
    assert [Counter(cell.config.experiment for cell in job.cells) for job in jobs] == [
        {"fig1": 4, "wrong_draft": 2},  # with the draft elsewhere
        {"wrong_draft": 2},
        {"pocket": 4},
    ]
    assert len({job.name for job in jobs}) == 3
    assert [cell.block for cell in jobs[0].cells] == [0, 0, 1, 1, 0, 1], "each experiment block by block"


def test_a_job_that_is_dealt_out_leaves_every_cell_to_one_part(tmp_path: Path) -> None:
    (job,) = jobs_of(cells(tmp_path, "fig1"))
    parts = job.dealt(3)
    assert sorted(cell.cell_id for part in parts for cell in part.cells) == sorted(cell.cell_id for cell in job.cells)
    assert [len(part.cells) for part in parts] == [2, 1, 1]
    assert len({part.name for part in parts}) == 3
    assert len(job.dealt(9)) == 4


@pytest.mark.parametrize(
    "experiments",
    [("fig1",), ("pocket", "fig1", "wrong_draft"), ("wrong_draft", "fig1", "pocket"), ("engine", "fig1", "colocated")],
)
def test_a_sweep_starts_as_many_servers_as_it_has_distinct_settings(
    stubs: Stubs, tmp_path: Path, experiments: tuple[str, ...]
) -> None:
    found = cells(tmp_path, *experiments)
    assert {cell.cell_id for cell in run(jobs_of(found))} == {cell.cell_id for cell in found}
    assert all(folder_of(cell).is_finished for cell in found)
    distinct = {server for cell in found for server in servers_of(cell.config)}
    assert distinct <= set(StubServer.starts)
    assert {server.name for server in StubServer.starts.keys() - distinct} <= {"draft"}, "alone, for its times"
    assert set(StubServer.starts.values()) == {1}


def test_cells_that_are_there_start_no_server(stubs: Stubs, tmp_path: Path) -> None:
    jobs = jobs_of(cells(tmp_path, "fig1"))
    run(jobs)
    StubServer.starts = Counter()
    stubs.ran.clear()
    assert len(run(jobs)) == 4, "they count as finished all the same"
    assert (stubs.ran, StubServer.starts) == ([], Counter())


def test_a_cell_that_another_process_holds_is_left_to_it(stubs: Stubs, tmp_path: Path) -> None:
    found = cells(tmp_path, "fig1")
    with held(folder_of(found[1])):
        assert run(jobs_of(found)) == [found[0], *found[2:]]
    assert not folder_of(found[1]).is_finished
    assert found[1] in run(jobs_of(found))
    assert stubs.ran[-1] == found[1].cell_id


def test_a_cell_that_another_process_gives_up_meanwhile_is_run(
    stubs: Stubs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = cells(tmp_path, "fig1")
    lock = held(folder_of(found[0]))
    lock.__enter__()

    async def give_up_in_the_middle(cell: Cell, *_: Any, **__: Any) -> dict[str, Any]:
        if cell is found[2]:
            lock.__exit__(None, None, None)
        return await stubs.cell(cell)

    monkeypatch.setattr(job_runner, "run_cell", give_up_in_the_middle)
    assert run(jobs_of(found)) == [*found[1:], found[0]]
    assert stubs.ran[-1] == found[0].cell_id


def test_a_calibration_that_another_process_measures_is_waited_for(
    stubs: Stubs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = cells(tmp_path, "pocket")
    calibration = job_runner.baseline_calibration(found[0].config)
    lock = held(calibration.folder)
    lock.__enter__()
    num_waits = 0

    def other_process_goes_on(_: float) -> None:
        nonlocal num_waits
        num_waits += 1
        if num_waits == 3:
            stubs.leave(calibration.folder, calibration.config, {})
            lock.__exit__(None, None, None)

    monkeypatch.setattr(job_runner.time, "sleep", other_process_goes_on)
    assert run(jobs_of(found)) == found
    assert stubs.ran.count(calibration.folder.path.name) == 1
    assert num_waits == 3


def test_a_failed_cell_ends_the_run_and_is_tried_again_in_the_next(stubs: Stubs, tmp_path: Path) -> None:
    found = cells(tmp_path, "fig1")
    stubs.failing = {found[1].cell_id}
    with pytest.raises(BackendError, match="the engine is dead"):
        run(jobs_of(found))
    assert (folder_of(found[1]).manifest or {})["status"] == "failed"
    stubs.failing = set()
    stubs.ran.clear()
    assert run(jobs_of(found)) == found
    assert sorted(stubs.ran) == sorted(cell.cell_id for cell in found[1:])
