"""The experiments of a command: their cells, which of them are there already, and what is checked before any server
starts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import build
from harness.backends.ports import check_port
from harness.calibration import draft_calibration
from harness.job_runner import needs_draft_times
from harness.jobs import servers_of_arms
from harness.metrics.costs import draft_price
from harness.progress import Pace
from harness.records import check_space, manifests_in
from harness.schema import Config
from harness.sweep import Cell, expand
from harness.versions import check_versions
from precall.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """All cells whose results share a folder, and the manifests that are in it, by folder name."""

    folder: Path
    cells: tuple[Cell, ...]
    manifests: dict[str, dict[str, Any]]

    @property
    def config(self) -> Config:
        """The configuration of the first cell."""
        return self.cells[0].config

    def is_finished(self, cell: Cell) -> bool:
        """Whether a cell was finished when the folder was read."""
        return self.manifests.get(cell.cell_id, {}).get("status") == "finished"

    @property
    def missing(self) -> list[Cell]:
        """The cells that were not finished when the folder was read."""
        return [cell for cell in self.cells if not self.is_finished(cell)]


def experiments_of(nodes: Iterable[Any]) -> list[Experiment]:
    """Return the experiments of composed configurations, in their order; those with the same output are one. Raises
    ConfigError for what `expand` refuses, and where they are not to run in the same place."""
    cells: dict[str, dict[str, Cell]] = {}
    for node in nodes:
        for cell in expand(node):
            cells.setdefault(cell.config.output, {}).setdefault(cell.cell_id, cell)
    found = [
        Experiment(folder=Path(output), cells=tuple(of_output.values()), manifests=manifests_in(Path(output)))
        for output, of_output in cells.items()
    ]
    for experiment in found:
        if experiment.config.jobs != found[0].config.jobs:
            raise ConfigError(
                f"jobs is {experiment.config.jobs.name} for {experiment.config.experiment} and "
                f"{found[0].config.jobs.name} for {found[0].config.experiment}, or differs in a key; the experiments "
                "of one command run in one place. Give jobs=... once."
            )
    return found


def pace_of(experiments: Iterable[Experiment]) -> Pace:
    """Return how long the cells took that are finished."""
    pace = Pace()
    for experiment in experiments:
        for cell in experiment.cells:
            if experiment.is_finished(cell):
                pace.add(cell, experiment.manifests[cell.cell_id].get("duration_s"))
    return pace


def check_before_start(experiments: Sequence[Experiment]) -> None:
    """Raise ConfigError for anything a user got wrong. Looks at the cells that are missing, and starts no server."""
    for experiment in experiments:
        configs = {cell.setting_id: cell.config for cell in experiment.cells}
        check_versions(experiment.folder, experiment.manifests, configs.values())
        check_cells(experiment.missing)
    for experiment in experiments:
        check_space(experiment.folder)  # last: it makes the folder


def check_cells(cells: Iterable[Cell]) -> None:
    """Raise ConfigError for a cell that cannot be run."""
    checked = set()
    for cell in {cell.setting_id: cell for cell in cells}.values():
        config = cell.config
        # Settings that differ in their latency alone have the same tasks and replay the same.
        what = repr((config.model, config.draft, config.workload, config.agent, config.seed))
        if what not in checked:
            checked.add(what)
            tasks = build.tasks_of(config, f"block {cell.block}")
            if config.model.is_replay:
                build.check_rendering(config, build.trajectories_of(config, tasks))
        build.latency_of(config, G_s=1.0)
        for model in (config.model, config.draft.model):
            build.sampling_of(model, config.seed)
        servers_of_arms(config)
        if config.speculation.max_draft_usd is not None:
            draft_price(config)
        if needs_draft_times(config):
            build.draft_servers(draft_calibration(config).config)
        if config.backend.target_port is not None:
            check_port("target", config.backend.target_port)
