"""Runs trajectories and arms on servers that are up, and keeps what the targets were sent."""

import asyncio
import copy
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from agents.function_calling import FunctionCallingAgent
from agents.task import Task
from agents.trajectory import Trajectory
from harness.backends.protocol import ModelServer
from harness.backends.vllm_server import VllmServer
from harness.backends.vllm_settings import VllmServerSettings
from harness.latency import Latency, LatencyKind
from harness.participants import participants
from harness.replay.builder import Modelled, build_trajectories
from harness.replay.trajectories import RecordedTrajectory
from harness.runner import ArmRun, MakeParticipants, run_arm
from harness.schema import Config, Speculation
from precall.chat import Messages
from precall.events import Event, EventKind, EventRecorder
from precall.speculation import NoSpeculation
from precall.stream import Generation
from precall.tools import Tool, run_tool
from precall.turn import Target
from tests.harness.configs import config_of

MAX_TURNS = 20


def integration_config(*overrides: str) -> Config:
    """Return a configuration with a small cache, which a server has ready sooner, and with short reasoning."""
    small = ("scale=smoke", "tracker=disabled", "backend.kv_cache_gib=1", "workload.reasoning_words_mean=20.0")
    return config_of(*small, *overrides)


@contextmanager
def running(settings: Any, log_folder: Path) -> Iterator[VllmServer]:
    """Keep a server up inside the block, whichever event loops come and go in it."""
    assert isinstance(settings, VllmServerSettings), f"{settings} are not of a server that the harness starts"
    server = VllmServer(settings, log_folder=log_folder)
    asyncio.run(server.__aenter__())
    try:
        yield server
    finally:
        asyncio.run(server.__aexit__(None, None, None))


def new_salt() -> str:
    """Return a cache salt that no test before has used."""
    return uuid4().hex


def build_one(task: Task) -> RecordedTrajectory:
    """Return the trajectory built from the accepted answers of `task`."""
    modelled = Modelled(
        reasoning_words_mean=20.0, reasoning_words_std=0.0, answer_words=10, hit_rate=1.0, num_samples=1
    )
    (trajectory,) = build_trajectories([task], modelled, seed=0).trajectories
    return trajectory


@dataclass(slots=True)
class HistoryKeeper:
    """A target that hands every request on to `inner` and keeps a copy of its history."""

    inner: Target
    histories: list[list[dict[str, Any]]] = field(default_factory=list)

    async def turns(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Generation, None]:
        self.histories.append(copy.deepcopy([dict(message) for message in messages]))
        async with aclosing(self.inner.turns(messages, tools)) as generations:
            async for generation in generations:
                yield generation


async def run_alone(task: Task, target: Target) -> tuple[Trajectory, list[Event]]:
    """Run one trajectory without speculation."""
    events: list[Event] = []
    trajectory = await FunctionCallingAgent(MAX_TURNS).run(
        task,
        target=target,
        speculation=NoSpeculation(),
        executor=run_tool,
        recorder=EventRecorder(f"alone/{task.task_id}", events.append),
    )
    return trajectory, events


async def run_made(name: str, tasks: Sequence[Task], servers: Sequence[ModelServer], make: MakeParticipants) -> ArmRun:
    """Run an arm in which every task has an agent of its own."""
    run = ArmRun(arm=name)
    await run_arm(
        run,
        tasks=tasks,
        num_agents=len(tasks),
        max_turns=MAX_TURNS,
        make_participants=make,
        servers=servers,
        on_trajectory=lambda _: None,
    )
    return run


async def run_configured(
    name: str,
    config: Config,
    tasks: Sequence[Task],
    servers: Sequence[ModelServer],
    *,
    draft_s: Mapping[str, Sequence[Sequence[float]]] | None = None,
) -> ArmRun:
    """Run an arm as the harness does, without tool latency; one whose name begins with `spec` speculates as `config`
    says."""
    speculation = config.speculation.mode if name.startswith("spec") else Speculation.off
    async with participants(
        config,
        tasks,
        servers,
        speculation=speculation,
        latency=Latency(kind=LatencyKind.NONE),
        draft_s=draft_s or {},
        salt=new_salt(),
    ) as make:
        return await run_made(name, tasks, servers, make)


def trajectories_of(run: ArmRun) -> list[Trajectory]:
    return [trajectory for agent in run.trajectories for trajectory in agent]


def entries(events: Sequence[Event], kind: EventKind, name: str) -> list[Any]:
    """Return one entry of every event of a kind, in order."""
    return [event.data[name] for event in events if event.kind is kind]
