"""Runs jobs in this process: starts their servers, makes the calibrations that their cells depend on, runs the cells
that are missing. Other processes may do the same in the same folders: a cell that one of them has is left to it."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from agents.trajectory import Trajectory
from harness import build
from harness.backends.protocol import ModelServer
from harness.calibration import (
    Calibration,
    baseline_calibration,
    draft_calibration,
    draft_times,
    measure_baseline,
    measure_draft,
    measured_G_s,
)
from harness.cell import folder_of, run_cell
from harness.display import Display
from harness.jobs import Job, next_job, servers_of, servers_of_arms
from harness.locks import held
from harness.progress import Pace
from harness.schema import Config, DraftKind, Speculation
from harness.servers import ServerPool
from harness.sweep import Cell
from harness.tracking.trackers import Tracker, Trackers
from precall.events import now_s
from precall.testing.virtual_time import run_virtual

POLL_S = 0.2


def needs_draft_times(config: Config) -> bool:
    has_model = config.draft.kind is DraftKind.model
    return config.model.is_replay and config.speculation.mode is not Speculation.off and has_model


class JobRunner:
    """Runs jobs one after the other on servers that a job leaves to the next where both need them. `logs` is the
    folder of the servers' logs, inside that of the results; `pace` knows how long finished cells took; `on_cell` gets
    each cell when it is finished."""

    def __init__(
        self,
        *,
        display: Display,
        trackers: Trackers,
        pace: Pace,
        on_cell: Callable[[Cell], None],
        logs: str = "logs",
    ) -> None:
        self._display = display
        self._trackers = trackers
        self._pace = pace
        self._on_cell = on_cell
        self._logs = logs
        self._pool = ServerPool()
        self._missing: Counter[str] = Counter()
        self._unmeasured: dict[Path, Calibration] = {}
        self._stop_task: Callable[[], object] | None = None
        self._is_stopped = False

    def stop(self) -> None:
        """End `run` with CancelledError; for the handlers of signals. Raising there instead could end in a tool's code,
        and be taken for its error."""
        self._is_stopped = True
        if self._stop_task is not None:
            self._stop_task()

    def run(self, jobs: Sequence[Job]) -> None:
        """Run the cells of `jobs`, but for those that other processes hold. Raises what ends a run (BackendError,
        MeasurementError, ConfigError, OSError, and the interrupts); finished cells stay."""
        servers = {job.name: servers_of(job.config) for job in jobs}
        drafts = {job.name: _draft_calibrations(job) for job in jobs}
        self._missing = Counter(cell.setting_id for job in jobs for cell in job.cells)
        self._unmeasured = {path: each for of_job in drafts.values() for path, each in of_job.items()}
        waiting = list(jobs)
        # A terminated run cleans up as an interrupted one does, also between two loops.
        before = signal.signal(signal.SIGTERM, lambda *_: self.stop())
        try:
            while waiting:
                job = next_job(waiting, servers, self._pool.running)
                with self._ready_for(job):
                    if lacking := [path for path in drafts[job.name] if path in self._unmeasured]:
                        self._calibrate_drafts(job, self._unmeasured[lacking[0]])
                        continue  # the draft runs now, so that another job may come first
                    waiting.remove(job)
                    self._run_job(job)
        finally:
            asyncio.run(self._pool.aclose())
            signal.signal(signal.SIGTERM, before)

    @contextmanager
    def _ready_for(self, job: Job) -> Iterator[None]:
        if not job.is_simulated:
            yield
            return
        asyncio.run(self._pool.aclose())  # what takes real time to stop
        self._trackers.prepare(job.config)
        with self._display.paused():  # the bar's thread would hold the virtual clock
            yield

    def _in_loop(self, job: Job, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run what is measured in one piece: virtual time begins anew with each, so that it comes out the same to the
        last bit whatever this process has run before."""
        run = run_virtual if job.is_simulated else asyncio.run
        run(self._until_terminated(coroutine))

    async def _until_terminated(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        self._stop_task = lambda: loop.call_soon_threadsafe(task.cancel)
        if self._is_stopped:
            task.cancel()
        try:
            await coroutine
        except BaseException:
            await self._pool.aclose()
            raise
        finally:
            self._stop_task = None

    def _calibrate_drafts(self, job: Job, first: Calibration) -> None:
        """Measure the times of a draft alone, and those that other cells need of the same: it is up now, and need not
        be started again."""
        wanted = build.draft_servers(first.config)
        for path, calibration in list(self._unmeasured.items()):
            if build.draft_servers(calibration.config) == wanted:

                async def measure(calibration: Calibration = calibration) -> None:
                    server = (await self._provide(wanted, calibration.config))[0]
                    self._display.now("measuring g: the draft alone")
                    with self._trackers.calibration(calibration) as tracker:
                        await measure_draft(calibration, server, self._on_trajectory(tracker, "calibration"))

                self._in_loop(job, self._once(calibration, measure))
                del self._unmeasured[path]

    def _run_job(self, job: Job) -> None:
        """Run the cells of a job, until all that is left is held by other processes."""
        left, has_run = list(job.cells), True
        while left and has_run:  # what another process had may be free by now: it may have failed, or been killed
            cells, left, has_run = left, [], False
            for cell in cells:
                folder = folder_of(cell)
                with held(folder) as is_ours:
                    if folder.is_finished:
                        self._done(cell, "finished by another process")
                    elif is_ours:
                        if not baseline_calibration(cell.config).folder.is_finished:
                            self._in_loop(job, self._calibrate_baseline(cell.config))
                        self._in_loop(job, self._run_cell(cell))
                        has_run = True
                    else:
                        left.append(cell)

    async def _calibrate_baseline(self, config: Config) -> None:
        running = await self._running(config)
        baseline, target = baseline_calibration(config), servers_of_arms(config)["base"][0]

        async def measure() -> None:
            self._display.now("measuring G: the baseline without tool latency")
            with self._trackers.calibration(baseline) as tracker:
                await measure_baseline(baseline, running[target], self._on_trajectory(tracker, "calibration"))

        await self._once(baseline, measure)

    async def _running(self, config: Config) -> dict[build.ServerSettings, ModelServer]:
        """Return the servers of both arms by their settings, and start those that are not up."""
        wanted = servers_of(config)
        return dict(zip(wanted, await self._provide(wanted, config), strict=True))

    async def _run_cell(self, cell: Cell) -> None:
        config = cell.config
        arms = servers_of_arms(config)
        running = await self._running(config)
        self._display.now(cell.cell_id)
        with self._trackers.cell(cell) as tracker:
            metrics = await run_cell(
                cell,
                {arm: [running[each] for each in of_arm] for arm, of_arm in arms.items()},
                G_s=measured_G_s(baseline_calibration(config)),
                draft_s=draft_times(draft_calibration(config)) if needs_draft_times(config) else {},
                on_run=lambda name, run: tracker.log({f"{name[:4]}/{key}": value for key, value in run.items()}),
                on_trajectory=self._on_trajectory(tracker, cell.cell_id),
            )
            shared = ("time_saved_pct", "noise_pct", "predicted_time_saved_pct", "latency_mean_s")
            tracker.log({f"cell/{key}": metrics[key] for key in shared})
        predicted = metrics["predicted_time_saved_pct"]
        self._done(
            cell,
            f"time saved {metrics['time_saved_pct']:.1f} %, "
            + (f"predicted {predicted:.1f} %, " if predicted is not None else "")
            + f"baseline against baseline {metrics['noise_pct']:+.1f} %",
        )

    def _done(self, cell: Cell, text: str) -> None:
        self._missing[cell.setting_id] -= 1
        self._pace.add(cell, (folder_of(cell).manifest or {}).get("duration_s"))
        left_s = self._pace.left_s(self._missing)
        self._display.cell_done(f"{cell.config.experiment}, {cell.label}, block {cell.block}: {text}", left_s)
        self._on_cell(cell)

    async def _once(self, calibration: Calibration, measure: Callable[[], Awaitable[None]]) -> None:
        """Have a calibration measured by one process; others wait for it."""
        is_told = False
        while not calibration.folder.is_finished:
            with held(calibration.folder) as is_ours:
                if is_ours and not calibration.folder.is_finished:
                    await measure()
            if not is_ours:
                if not is_told:
                    self._display.now(f"waiting for {calibration.folder.path.name}, which another process measures")
                    is_told = True
                time.sleep(POLL_S)  # noqa: ASYNC251 - the loop's time may be virtual, the other process's is not
                await asyncio.sleep(0)

    async def _provide(self, settings: list[build.ServerSettings], config: Config) -> list[ModelServer]:
        is_start = not set(settings) <= set(self._pool.running)
        with self._display.paused() if is_start else nullcontext():
            return await self._pool.provide(settings, Path(config.output) / self._logs, config.backend.target_port)

    def _on_trajectory(self, tracker: Tracker, label: str) -> Callable[[Trajectory], None]:
        started_s = now_s()
        num_done = num_tokens = 0

        def log(trajectory: Trajectory) -> None:
            nonlocal num_done, num_tokens
            num_done += 1
            num_tokens += trajectory.num_output_tokens or 0
            tokens_per_s = num_tokens / (now_s() - started_s)
            tracker.log({"live/throughput_tok_per_s": tokens_per_s, "live/trajectory_s": trajectory.duration_s})
            self._display.count(f"{label}: {num_done} trajectories, {tokens_per_s:.0f} tok/s")

        return log


def _draft_calibrations(job: Job) -> dict[Path, Calibration]:
    """Return the times of drafts alone that a job's cells need and nobody has measured, by their folder."""
    found: dict[Path, Calibration] = {}
    for config in {cell.setting_id: cell.config for cell in job.cells}.values():
        if needs_draft_times(config):
            calibration = draft_calibration(config)
            found.setdefault(calibration.folder.path, calibration)
    return {path: each for path, each in found.items() if not each.folder.is_finished}
