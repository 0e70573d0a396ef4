"""The arms of the engine's benches: which server each runs on, and who asks it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from omegaconf import OmegaConf

from agents.task import Task
from harness import build
from harness.backends.engine_side import REPLAY_PROPOSER, with_engine_side
from harness.backends.vllm_server import VllmServer
from harness.backends.vllm_settings import VllmServerSettings
from harness.engine_checks.exact_target import ReplayExactTarget
from harness.engine_checks.hermes import HermesTokens
from harness.engine_checks.workload import KnownExecutor, Workload
from harness.model_paths import CACHE
from harness.participants import cache_salt_of
from harness.provenance import ROOT
from harness.replay.models import ReplayTarget, TimedDraft
from harness.replay.rendering import HermesRenderer
from harness.replay.resident import ReplayResidentTarget
from harness.replay.tiny_model import TinyArchitecture, make_tiny_model
from harness.runner import MakeParticipants, Participants
from precall.chat import ChatClient
from precall.events import EventRecorder
from precall.policy import LaunchPolicy
from precall.speculation import ClientSpeculation, NoSpeculation
from precall.tool_cache import ToolCachePublisher
from precall.turn import Target

NUM_SPECULATIVE_TOKENS = 64
MODEL_NAME = "replay_tiny"

ServerName = Literal["stock", "sync", "o2", "o3", "o3_o2"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchArm:
    """`server`: where it runs. `asks`: ordinary chat requests, requests of exact tokens, or requests that opt in, with
    an oracle that posts. `is_overlapping`: the oracle's calls run while the target generates (O1)."""

    name: str
    server: ServerName
    asks: Literal["chat", "exact", "opted_in"]
    is_overlapping: bool = False


BASELINE = BenchArm(name="separate", server="stock", asks="chat")
RESIDENT_ARMS = (
    BenchArm(name="o3", server="o3", asks="opted_in"),
    BenchArm(name="o3_o2", server="o3_o2", asks="opted_in"),
)
ARMS = (
    BenchArm(name="separate_exact", server="stock", asks="exact"),
    *RESIDENT_ARMS,
    BenchArm(name="stock_sync", server="sync", asks="chat"),
    BenchArm(name="idle_proposer", server="o3_o2", asks="chat"),
)


def server_settings(
    *, block_size: int, is_prefix_caching: bool, kv_cache_gib: int
) -> dict[ServerName, VllmServerSettings]:
    """Return the settings of every server, equal but for what their names say."""
    node = OmegaConf.load(ROOT / "conf" / "model" / f"{MODEL_NAME}.yaml")
    platform = build.installed_platform()
    cores, api_cores = build.split_cores() if platform == "cpu" else ((), ())
    stock = VllmServerSettings(
        name="stock",
        model=str(make_tiny_model(TinyArchitecture(**node.tiny), CACHE)),
        served_model_name=MODEL_NAME,
        platform=platform,
        dtype=node.dtype,
        load_format=node.load_format,
        max_model_len=node.max_model_len,
        tool_call_parser=node.tool_call_parser,
        reasoning_parser=node.reasoning_parser,
        max_num_seqs=64,
        kv_cache_gib=kv_cache_gib,
        cores=cores,
        api_cores=api_cores,
        logits_processors=(build.REPLAY_PLUGIN,),
        enable_prefix_caching=is_prefix_caching,
        extra_args=("--block-size", str(block_size)),
    )

    def with_switches(name: str, *, is_residency: bool, is_drafting: bool) -> VllmServerSettings:
        return with_engine_side(
            replace(stock, name=name),
            is_residency=is_residency,
            num_speculative_tokens=NUM_SPECULATIVE_TOKENS if is_drafting else None,
            proposer=REPLAY_PROPOSER,
        )

    return {
        "stock": stock,
        "sync": replace(stock, name="sync", extra_args=(*stock.extra_args, "--no-async-scheduling")),
        "o2": with_switches("o2", is_residency=False, is_drafting=True),
        "o3": with_switches("o3", is_residency=True, is_drafting=False),
        "o3_o2": with_switches("o3_o2", is_residency=True, is_drafting=True),
    }


@asynccontextmanager
async def bench_participants(
    arm: BenchArm, workload: Workload, server: VllmServer, *, salt: str, latency_s: float
) -> AsyncGenerator[MakeParticipants, None]:
    """Yield the function that makes the participants of one run of an arm. The oracle predicts every call at once."""
    client = ChatClient(base_url=server.base_url, model=MODEL_NAME)
    renderer = HermesRenderer(Path(server.settings.model))
    tokens = HermesTokens(Path(server.settings.model))

    def make(task: Task, recorder: EventRecorder, agent: int) -> Participants:
        trajectory = workload.trajectories[task.task_id]
        cache_salt = cache_salt_of(salt, task.task_id)
        executor = KnownExecutor(trajectory, latency_s)
        oracle = TimedDraft(trajectory, [[0.0] for _ in trajectory.turns])
        if arm.asks == "opted_in":
            publisher = ToolCachePublisher(client, recorder)
            return Participants(
                target=ReplayResidentTarget(client, trajectory, renderer, cache_salt, publisher),
                speculation=ClientSpeculation(oracle, LaunchPolicy(), executor, recorder, publisher),
                executor=executor,
            )
        if arm.asks == "exact":
            target: Target = ReplayExactTarget(client, trajectory, renderer, cache_salt, tokens)
        else:
            target = ReplayTarget(client, trajectory, renderer, cache_salt)
        speculation = (
            ClientSpeculation(oracle, LaunchPolicy(), executor, recorder) if arm.is_overlapping else NoSpeculation()
        )
        return Participants(target=target, speculation=speculation, executor=executor)

    try:
        yield make
    finally:
        await client.aclose()
