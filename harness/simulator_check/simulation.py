"""Runs what a measured cell ran on simulated engines instead, in memory."""

from dataclasses import dataclass, replace
from statistics import fmean

from agents.task import Task
from harness.backends.simulated.model_server import SimulatedModelServer, SimulatedServerSettings
from harness.backends.simulated.models import SimulatedDraft
from harness.backends.simulated.participants import simulated_participants
from harness.backends.simulated.rates import EngineModel
from harness.metrics.comparison import agent_times_s, time_saved_pct
from harness.replay.models import RecordedTarget
from harness.runner import ArmRun, Participants, run_arm
from harness.schema import DraftPlace, SimulatedCoreConfig, Speculation
from harness.simulator_check.cells import MeasuredCell
from precall.events import EventRecorder
from precall.speculation import NoSpeculation
from precall.testing.virtual_time import run_virtual
from precall.tools import run_tool


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """The engines of a cell, and the core that client, messages and a colocated draft share."""

    target: EngineModel
    draft: EngineModel
    core: SimulatedCoreConfig


def run(cell: MeasuredCell, engines: Engines, arm: str) -> ArmRun:
    """Run one arm (base, spec)."""
    config = cell.config
    place = config.draft.place
    core = None if place is DraftPlace.dedicated else engines.core
    config = replace(config, backend=replace(config.backend, simulated_core=core))
    num_drafts = {DraftPlace.elsewhere: 0, DraftPlace.colocated: 1, DraftPlace.dedicated: config.draft.num_replicas}
    speculation = Speculation.off if arm == "base" else config.speculation.mode
    models = [engines.target, *[engines.draft] * num_drafts[place]]
    servers = [SimulatedModelServer(SimulatedServerSettings(name=f"{i}", model=m)) for i, m in enumerate(models)]
    done = ArmRun(arm=arm)

    async def agents() -> None:
        make = simulated_participants(
            config, cell.scripts, servers, speculation=speculation, latency=cell.latency, draft_s=cell.draft_s
        )
        await run_arm(
            done,
            tasks=cell.tasks,
            num_agents=config.agent.num_agents,
            max_turns=config.agent.max_turns,
            make_participants=make,
            servers=[],
            on_trajectory=lambda _: None,
        )

    run_virtual(agents())
    return done


def saved_pct(cell: MeasuredCell, engines: Engines) -> float:
    """Return the time saved that simulated engines give, in percent."""
    base, spec = (agent_times_s(run(cell, engines, arm).events, cell.agents) for arm in ("base", "spec"))
    return time_saved_pct(base, spec)


def draft_alone_s(cell: MeasuredCell, engines: Engines) -> float:
    """Return the mean seconds of a sample where one turn of the cell is asked after the other, and nothing else."""
    server = SimulatedModelServer(SimulatedServerSettings(name="draft", model=engines.draft))
    targets: list[RecordedTarget] = []

    def make(task: Task, recorder: EventRecorder, agent: int) -> Participants:
        draft = SimulatedDraft(server.fresh(), cell.scripts.scripts[task.task_id])
        targets.append(RecordedTarget(cell.scripts.recorded[task.task_id], draft))
        return Participants(target=targets[-1], speculation=NoSpeculation(), executor=run_tool)

    run_virtual(
        run_arm(
            ArmRun(arm="draft"),
            tasks=cell.tasks,
            num_agents=1,
            max_turns=cell.config.agent.max_turns,
            make_participants=make,
            servers=[],
            on_trajectory=lambda _: None,
        )
    )
    return fmean(seconds for target in targets for turn in target.sample_s for seconds in turn)
