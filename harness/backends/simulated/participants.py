"""Who works on a task where the models are simulated: target, draft and tools of each arm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.task import Task
from harness import build
from harness.backends.simulated.core import OnCore, SharedCore
from harness.backends.simulated.model_server import SimulatedModelServer
from harness.backends.simulated.models import SimulatedDraft, SimulatedTarget
from harness.backends.simulated.recorded import script_of
from harness.backends.simulated.resident import SimulatedResidentTarget
from harness.backends.simulated.script import Script
from harness.latency import Latency, LatencyInjector
from harness.model_free_drafts import model_free_draft
from harness.replay.models import TimedDraft
from harness.replay.trajectories import RecordedTrajectory
from harness.runner import MakeParticipants, Participants
from harness.schema import Config, DraftKind, DraftPlace, Speculation
from precall.events import EventRecorder
from precall.limits import ToolLimiter
from precall.speculation import ClientSpeculation, NoSpeculation
from precall.tool_cache import ToolCachePublisher

_DRAFT_WEIGHT = 1.25**-build.DRAFT_NICENESS  # as Linux weighs a nice process


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripts:
    """What target and draft say on some tasks, by task id: as trajectories, and with their sizes in tokens."""

    recorded: Mapping[str, RecordedTrajectory]
    scripts: Mapping[str, Script]


def scripts_of(config: Config, tasks: Sequence[Task]) -> Scripts:
    """Return what the models of a configuration that replays say."""
    recorded = build.trajectories_of(config, list(tasks))
    has_model = config.draft.kind is DraftKind.model
    renderers = build.renderer_of(config.model), build.renderer_of(config.draft.model) if has_model else None
    scripts = {task.task_id: script_of(task, recorded[task.task_id], *renderers) for task in tasks}
    return Scripts(recorded=recorded, scripts=scripts)


def simulated_participants(
    config: Config,
    scripts: Scripts,
    servers: Sequence[SimulatedModelServer],
    *,
    speculation: Speculation,
    latency: Latency,
    draft_s: Mapping[str, Sequence[Sequence[float]]],
) -> MakeParticipants:
    """Return the function that makes the participants of one arm's run, on engines that nobody has used."""
    target_place = draft_place = None
    if (shared := config.backend.simulated_core) is not None:
        core = SharedCore(client_s=shared.client_s, stream_token_s=shared.stream_token_s)
        target_place = OnCore(core=core)
        if config.draft.place is DraftPlace.colocated:
            draft_place = OnCore(core=core, computes=True, weight=_DRAFT_WEIGHT)
    target_server = servers[0].fresh(target_place)
    draft_servers = [server.fresh(draft_place) for server in servers[1:]]
    make_model_free_draft = model_free_draft(config, scripts.recorded)
    policy = build.policy_of(config)
    limiter, switch = ToolLimiter(), build.switch_of(config)
    backend = config.backend

    def make(task: Task, recorder: EventRecorder, agent: int) -> Participants:
        executor = LatencyInjector(latency, task_id=task.task_id, seed=config.seed)
        trajectory, script = scripts.recorded[task.task_id], scripts.scripts[task.task_id]
        if speculation is Speculation.off:
            target = SimulatedTarget(target_server, script)
            return Participants(target=target, speculation=NoSpeculation(), executor=executor)
        if make_model_free_draft is not None:
            draft = make_model_free_draft(task.task_id)
        elif config.draft.place is DraftPlace.elsewhere:
            draft = TimedDraft(trajectory, draft_s[task.task_id])
        else:
            draft = SimulatedDraft(draft_servers[agent % len(draft_servers)], script)
        publisher = None
        if speculation is Speculation.engine:
            publisher = ToolCachePublisher(target_server, recorder)
            target = SimulatedResidentTarget(
                target_server, script, publisher, is_residency=backend.is_residency, is_drafting=backend.is_drafting
            )
        else:
            target = SimulatedTarget(target_server, script)
        speculating = ClientSpeculation(draft, policy, executor, recorder, publisher, limiter=limiter, switch=switch)
        return Participants(target=target, speculation=speculating, executor=executor)

    return make


def draft_alone(config: Config, task: Task, server: SimulatedModelServer) -> SimulatedDraft:
    """Return a draft on an engine of its own, that nobody else uses."""
    return SimulatedDraft(server.fresh(), scripts_of(config, [task]).scripts[task.task_id])
