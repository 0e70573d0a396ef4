"""Jobs: the cells of one or more experiments, grouped by the servers that they need."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness import build
from harness.backends.vllm_settings import VllmServerSettings
from harness.schema import BackendKind, Config, DraftPlace, Speculation
from harness.sweep import Cell

ServersOfArms = dict[str, list[build.ServerSettings]]
"""By arm (base, spec): the target's server, then the drafts'."""


def servers_of_arms(config: Config) -> ServersOfArms:
    without_server = (DraftPlace.elsewhere, DraftPlace.in_process)
    has_draft = config.speculation.mode is not Speculation.off and config.draft.place not in without_server
    drafts = build.draft_servers(config) if has_draft else []
    targets = {"base": build.target_server(config), "spec": build.speculative_target_server(config)}
    return {arm: [target, *drafts] for arm, target in targets.items()}


def servers_of(config: Config) -> list[build.ServerSettings]:
    """Return the servers of both arms, each once."""
    arms = servers_of_arms(config)
    return list(dict.fromkeys([*arms["base"], *arms["spec"]]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One set of servers with all the cells that need it: what is run in one go, on one machine."""

    name: str
    cells: tuple[Cell, ...]

    @property
    def config(self) -> Config:
        """The configuration of the first cell; the servers of all are the same."""
        return self.cells[0].config

    @property
    def is_simulated(self) -> bool:
        return self.config.backend.kind is BackendKind.simulated

    @property
    def num_gpus(self) -> int:
        gpus = [server.gpu_ids for server in servers_of(self.config) if isinstance(server, VllmServerSettings)]
        return len({gpu for gpu_ids in gpus for gpu in gpu_ids})

    def dealt(self, num: int) -> list["Job"]:
        """Return `num` jobs, or as many as there are cells, each with its share of the cells."""
        return [
            Job(name=f"{self.name}-{index}", cells=self.cells[index::num]) for index in range(min(num, len(self.cells)))
        ]


def jobs_of(cells: Iterable[Cell]) -> list[Job]:
    """Return the jobs of these cells, in the order in which their first cells come."""
    settings: dict[str, str] = {}
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.setting_id not in settings:
            settings[cell.setting_id] = _name(cell.config)
        groups.setdefault(settings[cell.setting_id], []).append(cell)
    return [Job(name=name, cells=tuple(group)) for name, group in groups.items()]


def _name(config: Config) -> str:
    """Return a name that stands for the servers of a configuration, with the names of the models in it for people."""
    digits = hashlib.sha256(repr(servers_of_arms(config)).encode()).hexdigest()[:8]
    return f"{config.model.name}-{config.backend.name}-{digits}"


def next_job(
    jobs: Sequence[Job],
    servers: Mapping[str, Collection[build.ServerSettings]],
    running: Iterable[build.ServerSettings],
) -> Job:
    """Return the job that finds the most of its servers (`servers`, by the job's name) among those that run, the first
    of equals: so none is stopped and started again for a job that could have come before."""
    up = set(running)
    return max(jobs, key=lambda job: len(up.intersection(servers[job.name])))
