"""Who works on a task where the models are simulated: target, draft and tools of each arm."""

from collections.abc import Mapping, Sequence

from agents.task import Task
from harness import build
from harness.backends.simulated.model_server import SimulatedModelServer
from harness.backends.simulated.models import SimulatedDraft, SimulatedTarget
from harness.backends.simulated.recorded import script_of
from harness.backends.simulated.resident import SimulatedResidentTarget
from harness.latency import Latency, LatencyInjector
from harness.replay.models import TimedDraft
from harness.runner import MakeParticipants, Participants
from harness.schema import Config, DraftPlace, Speculation
from precall.events import EventRecorder
from precall.limits import ToolLimiter
from precall.speculation import ClientSpeculation, NoSpeculation
from precall.tool_cache import ToolCachePublisher


def simulated_participants(
    config: Config,
    tasks: Sequence[Task],
    servers: Sequence[SimulatedModelServer],
    *,
    speculation: Speculation,
    latency: Latency,
    draft_s: Mapping[str, Sequence[Sequence[float]]],
) -> MakeParticipants:
    """Return the function that makes the participants of one arm's run, on engines that nobody has used."""
    recorded = build.trajectories_of(config, list(tasks))
    renderer, draft_renderer = build.renderer_of(config.model), build.renderer_of(config.draft.model)
    target_server, *draft_servers = [server.fresh() for server in servers]
    policy = build.policy_of(config)
    limiter, switch = ToolLimiter(), build.switch_of(config)
    backend = config.backend

    def make(task: Task, recorder: EventRecorder, agent: int) -> Participants:
        executor = LatencyInjector(latency, task_id=task.task_id, seed=config.seed)
        trajectory = recorded[task.task_id]
        script = script_of(task, trajectory, renderer, draft_renderer)
        if speculation is Speculation.off:
            target = SimulatedTarget(target_server, script)
            return Participants(target=target, speculation=NoSpeculation(), executor=executor)
        if config.draft.place is DraftPlace.elsewhere:
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
    trajectory = build.trajectories_of(config, [task])[task.task_id]
    renderers = build.renderer_of(config.model), build.renderer_of(config.draft.model)
    return SimulatedDraft(server.fresh(), script_of(task, trajectory, *renderers))
