"""What must be known before arms are compared: G, from a baseline run, and g, from the draft alone on this machine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agents.task import Task
from agents.trajectory import Trajectory
from harness import build, provenance
from harness.backends.protocol import ModelServer
from harness.backends.simulated.model_server import SimulatedModelServer
from harness.backends.simulated.participants import draft_alone
from harness.metrics.arm import arm_metrics, generation_times
from harness.participants import baseline_participants, cache_salt_of, client_of
from harness.records import RunFolder
from harness.replay.models import RecordedTarget, ReplayDraft
from harness.runner import ArmRun, Participants, run_arm
from harness.schema import Config, DraftPlace, LatencyConfig, Speculation, SpeculationConfig
from harness.sweep import address
from precall.drafts.protocol import Draft
from precall.errors import BackendError
from precall.events import EventRecorder
from precall.speculation import NoSpeculation
from precall.tools import run_tool

DraftTimes = dict[str, list[list[float]]]
"""Seconds by task, turn and sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """One calibration of a setting: where it is kept, and the setting without what it does not depend on."""

    config: Config
    folder: RunFolder


def baseline_calibration(config: Config) -> Calibration:
    """G does not depend on the latency, the draft or whether speculation is on."""
    plain = _without_latency(config)
    plain = replace(plain, draft=type(config.draft)(name="none", place=DraftPlace.elsewhere, model=config.model))
    return Calibration(config=plain, folder=RunFolder(Path(config.output) / f"calibration-G-{address(plain)}"))


def draft_calibration(config: Config) -> Calibration:
    """g does not depend on the latency or on where the draft is in the comparison; it covers the tasks of all
    blocks."""
    plain = _without_latency(config)
    plain = replace(plain, draft=replace(plain.draft, name="alone", place=DraftPlace.elsewhere))
    name = f"calibration-g-{address(plain)}-{config.scale.num_blocks}"
    return Calibration(config=plain, folder=RunFolder(Path(config.output) / name))


def _without_latency(config: Config) -> Config:
    return replace(config, latency=LatencyConfig(kind="none"), speculation=SpeculationConfig(mode=Speculation.off))


async def measure_baseline(
    calibration: Calibration, server: ModelServer, on_trajectory: Callable[[Trajectory], None]
) -> None:
    """Run the baseline once, without tool latency, on tasks of its own, and keep G. It also warms the server up."""
    config, folder = calibration.config, calibration.folder
    folder.begin(config, provenance.collect(config.seed))
    tasks = build.tasks_of(config, "calibration")
    run = ArmRun(arm="off-1")
    async with baseline_participants(config, tasks, [server], salt=str(folder.work)) as make:
        try:
            await run_arm(
                run,
                tasks=tasks,
                num_agents=config.agent.num_agents,
                max_turns=config.agent.max_turns,
                make_participants=make,
                servers=[server],
                on_trajectory=on_trajectory,
            )
        except BackendError as error:
            folder.append_events(run.arm, run.events)
            folder.finish("failed", str(error))
            raise
    folder.append_events(run.arm, run.events)
    folder.write_json(
        "metrics.json", arm_metrics(run.events, wall_s=run.wall_s, counters=run.counters, cpu_s=run.cpu_s)
    )
    folder.finish("finished")


def measured_G_s(calibration: Calibration) -> float | None:
    """Return the mean E2EL of the baseline's generations that end in a call, in seconds; None if none does."""
    return generation_times(calibration.folder.read_events()["off-1"]).call_s


async def measure_draft(
    calibration: Calibration, server: ModelServer, on_trajectory: Callable[[Trajectory], None]
) -> None:
    """Lead the draft through the prompts of every block's tasks, one turn at a time with nothing beside it, and keep
    how long each sample took. The samples of a turn are sent at once, as in a run."""
    config, folder = calibration.config, calibration.folder
    folder.begin(config, provenance.collect(config.seed))
    by_id = {
        task.task_id: task
        for block in range(config.scale.num_blocks)
        for task in build.tasks_of(config, f"block {block}")
    }
    tasks = list(by_id.values())
    recorded = build.trajectories_of(config, tasks)
    renderer = build.renderer_of(config.draft.model)
    client = None if isinstance(server, SimulatedModelServer) else client_of(server, config.draft.model)
    targets: dict[str, RecordedTarget] = {}

    def draft_for(task: Task) -> Draft:
        if isinstance(server, SimulatedModelServer):
            return draft_alone(config, task, server)
        assert client is not None, "a server that is not simulated has a client"
        return ReplayDraft(client, recorded[task.task_id], renderer, cache_salt_of(str(folder.work), task.task_id))

    def make(task: Task, recorder: EventRecorder, agent: int) -> Participants:
        draft = draft_for(task)
        targets[task.task_id] = RecordedTarget(recorded[task.task_id], draft)
        return Participants(target=targets[task.task_id], speculation=NoSpeculation(), executor=run_tool)

    run = ArmRun(arm="draft-1")
    try:
        await _warm_up(make, tasks[:1], config.agent.max_turns)
        await run_arm(
            run,
            tasks=tasks,
            num_agents=1,
            max_turns=config.agent.max_turns,
            make_participants=make,
            servers=[server],
            on_trajectory=on_trajectory,
        )
    except BackendError as error:
        folder.finish("failed", str(error))
        raise
    finally:
        if client is not None:
            await client.aclose()
    folder.write_json("draft_times.json", {task_id: target.sample_s for task_id, target in targets.items()})
    folder.finish("finished")


async def _warm_up(
    make: Callable[[Task, EventRecorder, int], Participants], tasks: Sequence[Task], max_turns: int
) -> None:
    await run_arm(
        ArmRun(arm="warm-up"),
        tasks=tasks,
        num_agents=1,
        max_turns=max_turns,
        make_participants=make,
        servers=[],
        on_trajectory=lambda _: None,
    )


def draft_times(calibration: Calibration) -> DraftTimes:
    return calibration.folder.read_json("draft_times.json")
