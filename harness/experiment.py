"""Runs an experiment: its missing cells, grouped by the servers they need, after the calibrations they depend on."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from agents.trajectory import Trajectory
from harness import build, provenance, tables
from harness.backends.ports import check_port
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
from harness.metrics.costs import draft_price
from harness.records import check_space
from harness.schema import Config, DraftKind, DraftPlace, Speculation, TrackerMode
from harness.servers import ServerPool
from harness.sweep import Cell
from harness.tracking import NoTracker, Tracker, WandbTracker
from precall.events import now_s


def check_before_start(cells: Sequence[Cell]) -> None:
    """Raise ConfigError for anything a user got wrong. Starts no server."""
    rendered: list[Any] = []
    for cell in {cell.setting_id: cell for cell in cells}.values():
        config = cell.config
        tasks = build.tasks_of(config, f"block {cell.block}")
        if config.model.is_replay:
            trajectories = build.trajectories_of(config, tasks)
            # Settings that differ in their latency alone replay the same.
            if (what := (config.model, config.draft.model, trajectories)) not in rendered:
                build.check_rendering(config, trajectories)
                rendered.append(what)
        build.latency_of(config, G_s=1.0)
        for model in (config.model, config.draft.model):
            build.sampling_of(model, config.seed)
        _servers_of_arms(config)
        if config.speculation.max_draft_usd is not None:
            draft_price(config)
        if _needs_draft_times(config):
            build.draft_servers(draft_calibration(config).config)
        if config.backend.target_port is not None:
            check_port("target", config.backend.target_port)
    check_space(Path(cells[0].config.output))  # last: it makes the folder


ServersOfArms = dict[str, list[build.ServerSettings]]
"""By arm (base, spec): the target's server, then the drafts'."""


def _servers_of_arms(config: Config) -> ServersOfArms:
    without_server = (DraftPlace.elsewhere, DraftPlace.in_process)
    has_draft = config.speculation.mode is not Speculation.off and config.draft.place not in without_server
    drafts = build.draft_servers(config) if has_draft else []
    targets = {"base": build.target_server(config), "spec": build.speculative_target_server(config)}
    return {arm: [target, *drafts] for arm, target in targets.items()}


def _needs_draft_times(config: Config) -> bool:
    has_model = config.draft.kind is DraftKind.model
    return config.model.is_replay and config.speculation.mode is not Speculation.off and has_model


class Experiment:
    """One run of `harness.run`: `cells` of one composed configuration."""

    def __init__(self, cells: Sequence[Cell], pool: ServerPool, console: Console) -> None:
        self._cells = cells
        self._config = cells[0].config
        self._folder = Path(self._config.output)
        self._pool = pool
        missing = [cell for cell in cells if not folder_of(cell).is_finished]
        self._missing = missing
        self._display = Display(self._config.experiment, len(missing), console)
        self._tracker: Tracker = NoTracker()

    async def run(self) -> pd.DataFrame:
        """Run the missing cells and return the table of all finished ones. Raises what ends a run; finished cells
        stay."""
        num_found = len(self._cells) - len(self._missing)
        if num_found:
            self._display.line(f"{self._config.experiment}: {num_found} of {len(self._cells)} cells are there already")
        if self._missing:
            self._tracker = self._start_tracker()
            exit_code = 1
            try:
                with self._display.shown():
                    await self._run_missing()
                exit_code = 0
            finally:
                self._tracker.finish(exit_code)
        return tables.write_tables(self._cells, self._folder)

    def _start_tracker(self) -> Tracker:
        config = self._config
        if config.tracker.mode is TrackerMode.disabled:
            return NoTracker()
        return WandbTracker(
            mode=config.tracker.mode,
            project=config.tracker.project,
            name=config.experiment,
            folder=self._folder,
            config=_plain(asdict(config)),
            provenance=provenance.collect(config.seed),
        )

    async def _run_missing(self) -> None:
        await self._calibrate_drafts()
        for servers, cells in self._groups():
            target = await self._provide(servers["base"][:1])
            for cell in cells:
                calibration = baseline_calibration(cell.config)
                if not calibration.folder.is_finished:
                    self._display.now("measuring G: the baseline without tool latency")
                    await measure_baseline(calibration, target[0], self._on_trajectory("calibration"))
            wanted = list(dict.fromkeys([*servers["base"], *servers["spec"]]))
            running = dict(zip(wanted, await self._provide(wanted), strict=True))
            for cell in cells:
                await self._run_cell(cell, {arm: [running[each] for each in of_arm] for arm, of_arm in servers.items()})

    async def _calibrate_drafts(self) -> None:
        done: set[Path] = set()
        for cell in self._missing:
            config = cell.config
            if not _needs_draft_times(config):
                continue
            calibration = draft_calibration(config)
            if calibration.folder.path not in done and not calibration.folder.is_finished:
                await self._calibrate_draft(calibration)
            done.add(calibration.folder.path)

    async def _calibrate_draft(self, calibration: Calibration) -> None:
        server = (await self._provide(build.draft_servers(calibration.config)))[0]
        self._display.now("measuring g: the draft alone")
        await measure_draft(calibration, server, self._on_trajectory("calibration"))

    def _groups(self) -> list[tuple[ServersOfArms, list[Cell]]]:
        groups: list[tuple[ServersOfArms, list[Cell]]] = []
        for cell in self._missing:
            servers = _servers_of_arms(cell.config)
            known = next((cells for settings, cells in groups if settings == servers), None)
            if known is None:
                groups.append((servers, [cell]))
            else:
                known.append(cell)
        return groups

    async def _provide(self, settings: list[build.ServerSettings]) -> list[Any]:
        with self._display.paused():
            return await self._pool.provide(settings, self._folder / "logs", self._config.backend.target_port)

    async def _run_cell(self, cell: Cell, servers: dict[str, list[Any]]) -> None:
        config = cell.config
        self._display.now(f"{cell.cell_id}")
        metrics = await run_cell(
            cell,
            servers,
            G_s=measured_G_s(baseline_calibration(config)),
            draft_s=draft_times(draft_calibration(config)) if _needs_draft_times(config) else {},
            on_run=lambda name, run: self._tracker.log({f"{name[:4]}/{key}": value for key, value in run.items()}),
            on_trajectory=self._on_trajectory(cell.cell_id),
        )
        shared = ("time_saved_pct", "noise_pct", "predicted_time_saved_pct", "latency_mean_s")
        self._tracker.log({f"cell/{key}": metrics[key] for key in shared})
        predicted = metrics["predicted_time_saved_pct"]
        self._display.cell_done(
            f"{cell.label}, block {cell.block}: time saved {metrics['time_saved_pct']:.1f} %, "
            + (f"predicted {predicted:.1f} %, " if predicted is not None else "")
            + f"baseline against baseline {metrics['noise_pct']:+.1f} %"
        )

    def _on_trajectory(self, label: str) -> Callable[[Trajectory], None]:
        started_s = now_s()
        num_done = num_tokens = 0

        def log(trajectory: Trajectory) -> None:
            nonlocal num_done, num_tokens
            num_done += 1
            num_tokens += trajectory.num_output_tokens or 0
            tokens_per_s = num_tokens / (now_s() - started_s)
            self._tracker.log({"live/throughput_tok_per_s": tokens_per_s, "live/trajectory_s": trajectory.duration_s})
            self._display.count(f"{label}: {num_done} trajectories, {tokens_per_s:.0f} tok/s")

        return log


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value
