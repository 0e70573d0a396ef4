"""Runs one arm: M agents at once, each working through its tasks one after the other, on servers that are up."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agents.function_calling import FunctionCallingAgent
from agents.task import Task
from agents.trajectory import Status, Trajectory
from harness.backends.protocol import ModelServer
from precall.errors import BackendError, PrecallError
from precall.events import Event, EventRecorder, now_s
from precall.speculation import Speculation
from precall.tools import ToolExecutor
from precall.turn import Target

ALIVE_INTERVAL_S = 0.5
GOING_S = 3.0
"""How long a server may take to end after it failed a request because its engine died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Participants:
    """What works on one task: made anew for every trajectory."""

    target: Target
    speculation: Speculation
    executor: ToolExecutor


MakeParticipants = Callable[[Task, EventRecorder, int], Participants]
"""From a task, the recorder of its trajectory and the agent's number to who works on it."""


@dataclass(kw_only=True)
class ArmRun:
    """What one run of one arm left: events, trajectories per agent, and what the servers counted meanwhile.

    `wall_s` is from the first request to the end of the last agent, opening and grading environments included;
    `counters` are differences of the target's counters; `cpu_s` is the CPU time of the target's processes, None where
    it cannot be seen.
    """

    arm: str
    wall_s: float = 0.0
    events: list[Event] = field(default_factory=list)
    trajectories: list[list[Trajectory]] = field(default_factory=list)
    counters: dict[str, float] = field(default_factory=dict)
    cpu_s: float | None = None
    draft_cpu_s: float | None = None


async def run_arm(
    run: ArmRun,
    *,
    tasks: Sequence[Task],
    num_agents: int,
    max_turns: int,
    make_participants: MakeParticipants,
    servers: Sequence[ModelServer],
    on_trajectory: Callable[[Trajectory], None],
) -> None:
    """Fill `run`. Agent i gets the i-th run of consecutive tasks. Raises BackendError as soon as a trajectory fails or
    a server has gone; `run` then holds what happened until then."""
    assert len(tasks) % num_agents == 0, f"{len(tasks)} tasks for {num_agents} agents"
    per_agent = len(tasks) // num_agents
    run.trajectories = [[] for _ in range(num_agents)]

    async def work(index: int) -> None:
        agent = FunctionCallingAgent(max_turns)
        for task in tasks[index * per_agent : (index + 1) * per_agent]:
            recorder = EventRecorder(f"{run.arm}/{task.task_id}", run.events.append)
            participants = make_participants(task, recorder, index)
            trajectory = await agent.run(
                task,
                target=participants.target,
                speculation=participants.speculation,
                executor=participants.executor,
                recorder=recorder,
            )
            run.trajectories[index].append(trajectory)
            if trajectory.status is Status.FAILED:
                raise BackendError(f"Task {task.task_id} failed: {trajectory.error}")
            on_trajectory(trajectory)

    before = [await server.counters() for server in servers]
    cpu_before = [server.cpu_seconds() for server in servers]
    started_s = now_s()
    watch = asyncio.create_task(_watch(servers))
    try:
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(work(index)) for index in range(num_agents)]
            watch.add_done_callback(lambda _: [worker.cancel() for worker in workers])
        run.wall_s = now_s() - started_s
    except* PrecallError as failures:
        # A server that goes explains the failed request better than the request does, and is gone only after it.
        await asyncio.wait({watch}, timeout=GOING_S if servers else 0.0)
        raise failures.exceptions[0] from None
    finally:
        watch.cancel()
        ended = (await asyncio.gather(watch, return_exceptions=True))[0]
        if isinstance(ended, Exception):  # not the cancellation of the line above
            raise ended
    if servers:
        after = await servers[0].counters()
        run.counters = {name: after[name] - before[0].get(name, 0.0) for name in after}
        spent = [_difference(server.cpu_seconds(), start) for server, start in zip(servers, cpu_before, strict=True)]
        run.cpu_s = spent[0]
        run.draft_cpu_s = sum(s for s in spent[1:] if s is not None) if len(spent) > 1 else None


async def _watch(servers: Sequence[ModelServer]) -> None:
    while True:
        await asyncio.sleep(ALIVE_INTERVAL_S)
        for server in servers:
            await server.check_alive()


def _difference(now: float | None, before: float | None) -> float | None:
    return None if now is None or before is None else now - before
