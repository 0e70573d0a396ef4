"""Who works on a task: target, draft and tools of each arm, live or replayed."""

import hashlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

from agents.task import Task
from harness import build
from harness.backends.external_server import ExternalServer
from harness.backends.protocol import ModelServer
from harness.backends.simulated.model_server import SimulatedModelServer
from harness.backends.simulated.participants import scripts_of, simulated_participants
from harness.latency import Latency, LatencyInjector, LatencyKind
from harness.metrics.costs import draft_price
from harness.model_free_drafts import model_free_draft
from harness.replay.models import ReplayDraft, ReplayTarget, TimedDraft
from harness.replay.resident import ReplayResidentTarget
from harness.replay.trajectories import RecordedTrajectory
from harness.runner import MakeParticipants, Participants
from harness.schema import Config, DraftPlace, ModelConfig, Speculation
from precall.chat import ChatClient, ChatTarget
from precall.drafts.chat_model import ChatDraft
from precall.drafts.protocol import Draft
from precall.events import EventRecorder
from precall.limits import ToolLimiter
from precall.resident_target import ResidentTarget
from precall.speculation import ClientSpeculation, NoSpeculation
from precall.spending import SpendingCap
from precall.tool_cache import ToolCachePublisher
from precall.turn import Target


@asynccontextmanager
async def participants(
    config: Config,
    tasks: Sequence[Task],
    servers: Sequence[ModelServer],
    *,
    speculation: Speculation,
    latency: Latency,
    draft_s: Mapping[str, Sequence[Sequence[float]]],
    salt: str,
) -> AsyncGenerator[MakeParticipants, None]:
    """Yield the function that makes the participants of one arm's run.

    `servers` are the target's and the draft's; `draft_s` has the draft's times by task, turn and sample where the draft
    is elsewhere. Every trajectory gets a cache salt of its own, or it would hit the prefix cache of an earlier run.
    """
    simulated = [server for server in servers if isinstance(server, SimulatedModelServer)]
    if simulated:
        yield simulated_participants(
            config,
            scripts_of(config, tasks),
            simulated,
            speculation=speculation,
            latency=latency,
            draft_s=draft_s,
        )
        return
    recorded = build.trajectories_of(config, list(tasks)) if config.model.is_replay else {}
    target_client = client_of(servers[0], config.model)
    draft_clients = [client_of(server, config.draft.model) for server in servers[1:]]
    renderer = build.renderer_of(config.model) if recorded else None
    draft_renderer = build.renderer_of(config.draft.model) if recorded and draft_clients else None
    make_model_free_draft = model_free_draft(config, recorded)
    policy = build.policy_of(config)
    limiter, switch, cap = ToolLimiter(), build.switch_of(config), None
    if config.speculation.max_draft_usd is not None and draft_clients:
        cap = SpendingCap(config.speculation.max_draft_usd, draft_price(config), *draft_clients)

    def make_target(trajectory: RecordedTrajectory | None, cache_salt: str) -> Target:
        if trajectory is not None and renderer is not None:
            return ReplayTarget(target_client, trajectory, renderer, cache_salt)
        extra_body = {} if _is_external(servers[0]) else {"return_token_ids": True, "cache_salt": cache_salt}
        return ChatTarget(target_client, build.sampling_of(config.model, config.seed), extra_body)

    def make_draft(task: Task, trajectory: RecordedTrajectory | None, agent: int, cache_salt: str) -> Draft:
        if make_model_free_draft is not None:
            return make_model_free_draft(task.task_id)
        if config.draft.place is DraftPlace.elsewhere:
            assert trajectory is not None, "a draft elsewhere answers from a recording"
            return TimedDraft(trajectory, draft_s[trajectory.task_id])
        client = draft_clients[agent % len(draft_clients)]
        if trajectory is not None and draft_renderer is not None:
            return ReplayDraft(client, trajectory, draft_renderer, cache_salt)
        sampling = build.sampling_of(config.draft.model, config.seed)
        extra_body = {} if _is_external(servers[1]) else {"cache_salt": cache_salt}
        return ChatDraft(client, sampling, config.draft.num_samples, extra_body)

    def make_resident_target(
        trajectory: RecordedTrajectory | None, cache_salt: str, publisher: ToolCachePublisher
    ) -> Target:
        if trajectory is not None and renderer is not None:
            return ReplayResidentTarget(target_client, trajectory, renderer, cache_salt, publisher)
        extra_body = {"return_token_ids": True, "cache_salt": cache_salt}
        return ResidentTarget(target_client, build.sampling_of(config.model, config.seed), publisher, extra_body)

    def make(task: Task, recorder: EventRecorder, agent: int) -> Participants:
        trajectory = recorded.get(task.task_id)
        cache_salt = cache_salt_of(salt, task.task_id)
        executor = LatencyInjector(latency, task_id=task.task_id, seed=config.seed)
        if speculation is Speculation.off:
            target = make_target(trajectory, cache_salt)
            return Participants(target=target, speculation=NoSpeculation(), executor=executor)
        draft, publisher = make_draft(task, trajectory, agent, cache_salt), None
        if speculation is Speculation.engine:
            publisher = ToolCachePublisher(target_client, recorder)
            target = make_resident_target(trajectory, cache_salt, publisher)
        else:
            target = make_target(trajectory, cache_salt)
        speculating = ClientSpeculation(
            draft, policy, executor, recorder, publisher, limiter=limiter, switch=switch, cap=cap
        )
        return Participants(target=target, speculation=speculating, executor=executor)

    try:
        yield make
    finally:
        for client in (target_client, *draft_clients):
            await client.aclose()


def baseline_participants(config: Config, tasks: Sequence[Task], servers: Sequence[ModelServer], salt: str):
    """Participants of the baseline without tool latency."""
    latency = Latency(kind=LatencyKind.NONE)
    return participants(config, tasks, servers, speculation=Speculation.off, latency=latency, draft_s={}, salt=salt)


def cache_salt_of(*parts: str) -> str:
    """Return a salt that no other run shares, in the characters that vLLM takes."""
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:32]


def _is_external(server: ModelServer) -> bool:
    return isinstance(server, ExternalServer)


def client_of(server: ModelServer, model: ModelConfig) -> ChatClient:
    """Return a client for `model` on `server`; somebody else's server has a name for it and a key of its own."""
    if isinstance(server, ExternalServer):
        settings = server.settings
        return ChatClient(
            base_url=server.base_url,
            model=settings.model,
            api_key=settings.api_key,
            retries=settings.retries,
            limits=settings.limits,
        )
    return ChatClient(base_url=server.base_url, model=model.name)
