"""Runs every arm on every workload, round by round, and keeps what happened."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agents.trajectory import Trajectory
from harness.agents_check.workloads import BASELINE, Arm, Workload
from harness.backends.protocol import ModelServer
from harness.latency import Latency
from harness.runner import ArmRun, run_arm
from precall.errors import BackendError
from precall.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of one arm in round `block`, at place `position`. `is_bare`: without the recorded observations at hand.
    `failure` is what ended a run before its last task."""

    arm: Arm
    block: int
    position: int
    is_bare: bool
    failure: str | None
    events: list[Event] = field(repr=False)

    @property
    def name(self) -> str:
        how = "without observations" if self.is_bare else f"block {self.block}"
        return f"{self.arm.name}, {how}, place {self.position}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """The stock server, and the one with the engine side, None where no arm needs it."""

    stock: ModelServer
    resident: ModelServer | None = None

    def of(self, arm: Arm) -> ModelServer:
        server = self.resident if arm.is_resident else self.stock
        assert server is not None, f"arm {arm.name} needs the server with the engine side"
        return server


def order(arms: Sequence[Arm], block: int) -> list[Arm]:
    """Return the arms of a round: the baseline, the others, in odd rounds in the reverse order, the baseline again."""
    return [BASELINE, *(arms if block % 2 == 0 else reversed(arms)), BASELINE]


async def run_round(
    workload: Workload,
    servers: Servers,
    arms: Sequence[Arm],
    *,
    block: int,
    is_bare: bool,
    latency: Latency,
    salt: str,
    on_trajectory: Callable[[Trajectory], None],
) -> list[Run]:
    """Run all arms once, the baseline twice. A run that fails is kept with what ended it, and the others go on."""
    runs = []
    for position, arm in enumerate(order(arms, block)):
        runs.append(
            await run_once(
                workload,
                arm,
                servers.of(arm),
                block=block,
                position=position,
                is_bare=is_bare,
                latency=latency,
                salt=f"{salt}/{workload.name}/{block}/{is_bare}/{position}",
                on_trajectory=on_trajectory,
            )
        )
    return runs


async def run_once(
    workload: Workload,
    arm: Arm,
    server: ModelServer,
    *,
    block: int,
    position: int,
    is_bare: bool,
    latency: Latency,
    salt: str,
    on_trajectory: Callable[[Trajectory], None],
) -> Run:
    """Run one arm on all tasks of a workload."""
    run, failure = ArmRun(arm=arm.name), None
    async with workload.participants(arm, server, latency=latency, salt=salt, is_bare=is_bare) as make:
        try:
            await run_arm(
                run,
                tasks=workload.tasks,
                num_agents=workload.config.agent.num_agents,
                max_turns=workload.config.agent.max_turns,
                make_participants=make,
                servers=[server],
                on_trajectory=on_trajectory,
            )
        except BackendError as error:
            failure = str(error)
    return Run(
        arm=arm,
        block=block,
        position=position,
        is_bare=is_bare,
        failure=failure,
        events=run.events,
    )
