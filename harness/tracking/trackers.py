"""Tracking: a copy of a sweep's numbers in Weights & Biases, for people to look at. Figures never read from it.

Each cell and each calibration is a run of its own; those of a sweep form a group.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from harness import provenance
from harness.calibration import Calibration
from harness.schema import BackendKind, Config, TrackerMode, to_plain
from harness.sweep import Cell
from harness.tracking.wandb_runs import DeferredRun, RunSettings, WandbRuns, mode_of, run_id_of


class Tracker(Protocol):
    def log(self, metrics: dict[str, Any]) -> None: ...


class NoTracker:
    """Tracking switched off."""

    def log(self, metrics: dict[str, Any]) -> None:
        pass


class Trackers:
    """The runs that a process opens for the sweep `sweep_id`. `say` gets what has to be said of W&B itself."""

    def __init__(self, sweep_id: str, say: Callable[[str], None]) -> None:
        self._sweep_id = sweep_id
        self._runs = WandbRuns(say)

    def prepare(self, config: Config) -> None:
        """Start what all runs share; to be called before time is virtual, which would wait for its threads."""
        if config.tracker.mode is not TrackerMode.disabled:
            self._runs.prepare()

    @contextmanager
    def cell(self, cell: Cell) -> Iterator[Tracker]:
        """Track a cell inside the block; a block that raises marks its run as failed."""
        name = f"{cell.config.experiment} {cell.label} b{cell.block}"
        fields = {"cell": cell.cell_id, "setting": cell.setting_id, "block": cell.block}
        with self._run(cell.config, "cell", cell.cell_id, name, fields) as tracker:
            yield tracker

    @contextmanager
    def calibration(self, calibration: Calibration) -> Iterator[Tracker]:
        """Track a calibration inside the block, as a cell."""
        name = calibration.folder.path.name
        title = f"{calibration.config.experiment} {name}"
        with self._run(calibration.config, "calibration", name, title, {}) as tracker:
            yield tracker

    @contextmanager
    def _run(
        self, config: Config, job_type: str, folder_name: str, name: str, fields: dict[str, Any]
    ) -> Iterator[Tracker]:
        if config.tracker.mode is TrackerMode.disabled:
            yield NoTracker()
            return

        settings = RunSettings(
            mode=mode_of(config),
            project=config.tracker.project,
            group=self._sweep_id,
            job_type=job_type,
            name=name,
            run_id=run_id_of(Path(config.output), folder_name),
            folder=Path(config.output),
            config={**to_plain(config), **fields, "provenance": provenance.collect(config.seed)},
        )
        is_simulated = config.backend.kind is BackendKind.simulated
        run = DeferredRun(self._runs, settings) if is_simulated else self._runs.open(settings)
        exit_code = 1
        try:
            yield run
            exit_code = 0
        finally:
            run.finish(exit_code)
