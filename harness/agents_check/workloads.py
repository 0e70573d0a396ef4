"""What the check runs: recorded tasks, the arms, and who works on a task in each arm."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import hydra

from agents.task import Task
from harness import build
from harness.backends.protocol import ModelServer
from harness.calibration import DraftTimes
from harness.command import register_schema
from harness.latency import Latency
from harness.participants import participants
from harness.provenance import ROOT
from harness.replay.plans import without_observations
from harness.replay.trajectories import read_trajectories, write_trajectories
from harness.runner import MakeParticipants
from harness.schema import Config, Speculation, trajectory_file
from harness.sweep import expand

WORKLOADS: dict[str, tuple[str, ...]] = {
    "swe": ("experiment=swe_replay",),
    "swe_tools": ("experiment=swe_replay", "agent=swe_tools"),
    "reasoning": ("experiment=reasoning_replay",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """`is_forking`: predicted calls that change a workspace run in forks of it. Speculation `engine` runs on the server
    with the engine side, to which what predicted calls returned is posted."""

    name: str
    speculation: Speculation
    is_forking: bool = False

    @property
    def is_resident(self) -> bool:
        return self.speculation is Speculation.engine


BASELINE = Arm(name="baseline", speculation=Speculation.off)
CLIENT = Arm(name="client", speculation=Speculation.client)
FORKS = Arm(name="forks", speculation=Speculation.client, is_forking=True)
ENGINE = Arm(name="engine", speculation=Speculation.engine, is_forking=True)
SPECULATIVE = (CLIENT, FORKS, ENGINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Tasks with their recording; `bare_config` replays the same without the recorded observations. `draft_s` holds the
    draft's times alone by task, turn and sample."""

    name: str
    config: Config
    bare_config: Config
    tasks: tuple[Task, ...]
    draft_s: DraftTimes

    @property
    def agents(self) -> list[list[str]]:
        """The task ids of each agent."""
        size, ids = self.config.agent.tasks_per_agent, [task.task_id for task in self.tasks]
        return [ids[start : start + size] for start in range(0, len(ids), size)]

    def participants(
        self, arm: Arm, server: ModelServer, *, latency: Latency, salt: str, is_bare: bool
    ) -> AbstractAsyncContextManager[MakeParticipants]:
        config = self.bare_config if is_bare else self.config
        return participants(
            replace(config, speculation=replace(config.speculation, is_forking=arm.is_forking)),
            self.tasks,
            [server],
            speculation=arm.speculation,
            latency=latency,
            draft_s=self.draft_s,
            salt=salt,
        )


def config_of(name: str, *, num_agents: int, num_tasks: int | None, overrides: Sequence[str] = ()) -> Config:
    """Return the configuration of a workload with all its recorded tasks, or `num_tasks` of them, divided among the
    agents. Raises ConfigError for what the schema or a rule refuses."""
    register_schema()
    wanted = (*WORKLOADS[name], "backend=vllm_resident", "speculation=engine", "tracker=disabled")
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        node: Any = hydra.compose("config", [*wanted, *overrides])
    config = expand(node)[0].config
    if num_tasks is None:
        file = trajectory_file(config)
        assert file is not None, "the check's workloads have recordings"
        num_tasks = len(read_trajectories(Path(file)).trajectories)
    # Fewer tasks for the last agent would leave it idle while the others are measured.
    num_agents = max(num for num in range(1, num_agents + 1) if num_tasks % num == 0)
    agent = replace(config.agent, num_agents=num_agents, tasks_per_agent=num_tasks // num_agents)
    return replace(config, agent=agent, scale=replace(config.scale, num_blocks=1))


def make_workload(name: str, config: Config, draft_s: DraftTimes, folder: Path) -> Workload:
    """Return the workload of a configuration; the recording without observations is written to `folder`."""
    file = trajectory_file(config)
    assert file is not None, "the check's workloads have recordings"
    recording = read_trajectories(Path(file))
    bare = tuple(without_observations(trajectory) for trajectory in recording.trajectories)
    bare_file = folder / f"{name}-without-observations.jsonl"
    write_trajectories(bare_file, replace(recording, trajectories=bare))
    return Workload(
        name=name,
        config=config,
        bare_config=replace(config, workload=replace(config.workload, trajectories=str(bare_file))),
        tasks=tuple(build.tasks_of(config, "block 0")),
        draft_s=draft_s,
    )
