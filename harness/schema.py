"""The schema of an experiment's configuration. YAML in conf/ only chooses; a key that is not here is refused at
launch."""

from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from omegaconf import MISSING, SI, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from harness.jobs_config import JobsConfig, check_jobs
from precall.errors import ConfigError


class DraftPlace(Enum):
    elsewhere = "elsewhere"  # recorded answers arrive after the time they took alone on this machine
    colocated = "colocated"  # a second server at work beside the target, on the same machine
    dedicated = "dedicated"  # servers at work on GPUs of their own, as in the paper
    given_to_target = "given_to_target"  # there is no draft: the target of the treatment has its hardware too
    in_process = "in_process"  # with the agents: a draft without a model


class DraftKind(Enum):
    model = "model"
    pattern = "pattern"  # what has followed in such places before: precall/drafts/pattern.py
    oracle = "oracle"  # is told the recorded calls of the target: precall/drafts/oracle.py


class Speculation(Enum):
    off = "off"
    client = "client"
    engine = "engine"  # as client, and the engine goes on with what the client has posted


class BackendKind(Enum):
    vllm = "vllm"
    external = "external"
    simulated = "simulated"  # a model of an engine, in virtual time


class Platform(Enum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class TrackerMode(Enum):
    auto = "auto"  # online when the user is logged in, else offline
    online = "online"
    offline = "offline"
    disabled = "disabled"


@dataclass(kw_only=True)
class TinyConfig:
    """The size of a random architecture: Qwen3's, or with `num_experts` gpt-oss's. See harness/replay/tiny_*.py."""

    hidden_size: int = MISSING
    num_layers: int = MISSING
    num_heads: int = MISSING
    head_size: int = MISSING
    ff_size: int = MISSING
    num_experts: int | None = None


@dataclass(kw_only=True)
class ModelConfig:
    """A model. `path` is a folder or a hub name, or what an external endpoint calls it; empty, `tiny` says which random
    architecture to make. With `is_replay` the engine follows recorded trajectories.

    From `temperature` to `reasoning_effort` stands what requests carry, under the names of the API (precall.Sampling);
    null is not sent. The limits per minute are those of an external endpoint, kept on this side; null is none."""

    name: str = MISSING
    path: str = ""
    tiny: TinyConfig | None = None
    is_replay: bool = False
    load_format: str = "auto"
    dtype: str = "auto"
    max_model_len: int = MISSING
    tool_call_parser: str = MISSING
    reasoning_parser: str | None = None
    temperature: float | None = 0.0
    max_tokens: int | None = 4096
    max_completion_tokens: int | None = None
    reasoning_effort: str | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    extra_args: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class DraftConfig:
    """A draft. One without a model is in the agents' process, and `model` is its name alone. The oracle is right in a
    share `alpha` of the calls, and answers after `delay_s`."""

    name: str = MISSING
    kind: DraftKind = DraftKind.model
    place: DraftPlace = MISSING
    model: ModelConfig = field(default_factory=ModelConfig)
    num_samples: int = 1
    num_replicas: int = 1
    alpha: float = 1.0
    delay_s: float = 0.0


@dataclass(kw_only=True)
class SimulatedEngineConfig:
    """What a simulated engine costs and holds: see harness/backends/simulated/rates.py. `overhead_s` is that of a
    message between client and engine, one way."""

    step_s: float = MISSING
    sequence_s: float = 0.0
    context_token_s: float = 0.0
    prefill_token_s: float = 0.0
    overhead_s: float = 0.0
    max_batched_tokens: int = 2048
    block_size: int = 128
    num_blocks: int = 1_000_000


@dataclass(kw_only=True)
class SimulatedCoreConfig:
    """What the client takes of a core that it shares with the servers' messages and a colocated draft: for a request,
    and for each token that comes. See harness/backends/simulated/core.py."""

    client_s: float = 0.0
    stream_token_s: float = 0.0


@dataclass(kw_only=True)
class BackendConfig:
    """Where the models run. `url` and `draft_url` name endpoints that run already (kind external); `api_key_env` and
    `draft_api_key_env` name the environment variables that hold their keys, and `max_retries` says how often a request
    that failed before its first token is repeated. `target_port` fixes the target's port; null takes a free one.

    `is_residency` (O3) and `is_drafting` (O2, at most `num_speculative_tokens` a step) switch the engine side on: then
    the speculative arm has a server of its own with the tool cache, and the baseline one without, equal in all else.

    Kind simulated has models of engines, `simulated_target` and `simulated_draft`, and takes no real time. With
    `simulated_core` client, messages and a colocated draft share a core, as on a machine with two."""

    name: str = MISSING
    kind: BackendKind = BackendKind.vllm
    platform: Platform = Platform.auto
    url: str = ""
    draft_url: str = ""
    api_key_env: str = ""
    draft_api_key_env: str = ""
    max_retries: int = 0
    target_port: int | None = None
    max_num_seqs: int = 64
    kv_cache_gib: int | None = 1
    is_prefix_caching: bool = True
    is_residency: bool = False
    is_drafting: bool = False
    num_speculative_tokens: int = 32
    start_timeout_s: float = 600.0
    simulated_core: SimulatedCoreConfig | None = None
    simulated_target: SimulatedEngineConfig | None = None
    simulated_draft: SimulatedEngineConfig | None = None

    @property
    def has_tool_cache(self) -> bool:
        return self.is_residency or self.is_drafting


class TaskSource(Enum):
    bfcl = "bfcl"
    pocket = "pocket"  # the project's own world of tools, harness/pocket/
    swe_local = "swe_local"  # small repositories of our own, harness/workloads/swe_local/
    swe_bench = "swe_bench"  # SWE-bench's schema and images
    # the reasoning agent's, harness/workloads/reasoning.py
    reasoning_local = "reasoning_local"  # our own problems and questions
    gsm8k = "gsm8k"
    math500 = "math500"
    aime = "aime"
    hotpotqa = "hotpotqa"


class AgentKind(Enum):
    function_calling = "function_calling"  # the tools that the task brings
    swe = "swe"  # a repository and bash, in the manner of mini-swe-agent
    swe_tools = "swe_tools"  # a repository and the tools open, search, edit, run_tests
    reasoning = "reasoning"  # a problem or a question, and the tools python and search


AGENTS = {
    TaskSource.bfcl: (AgentKind.function_calling,),
    TaskSource.pocket: (AgentKind.function_calling,),
    TaskSource.swe_local: (AgentKind.swe, AgentKind.swe_tools),
    TaskSource.swe_bench: (AgentKind.swe, AgentKind.swe_tools),
    TaskSource.reasoning_local: (AgentKind.reasoning,),
    TaskSource.gsm8k: (AgentKind.reasoning,),
    TaskSource.math500: (AgentKind.reasoning,),
    TaskSource.aime: (AgentKind.reasoning,),
    TaskSource.hotpotqa: (AgentKind.reasoning,),
}
"""Which agents work on the tasks of a source."""

RECORDED = Path(__file__).with_name("workloads") / "recorded"
_RECORDINGS = {
    (TaskSource.swe_local, AgentKind.swe): "swe.jsonl",
    (TaskSource.swe_local, AgentKind.swe_tools): "swe_tools.jsonl",
    (TaskSource.reasoning_local, AgentKind.reasoning): "reasoning.jsonl",
}


@dataclass(kw_only=True)
class WorkloadConfig:
    """Which tasks: those of `source`, for BFCL of these `categories`, for sources on the hub those of `dataset` (a hub
    name, or a file of rows), for SWE-bench of its `split`, in the images that `images` names ({instance} stands for the
    instance). For replay also which trajectories: those of the file `trajectories`, else, for our own tasks, those in
    harness/workloads/recorded/, or, for BFCL, built from accepted answers with modelled reasoning (words, lognormal)
    and a draft that is right in a `hit_rate` share of its samples."""

    name: str = MISSING
    source: TaskSource = TaskSource.bfcl
    categories: list[str] = field(default_factory=list)
    dataset: str = ""
    split: str = "test"
    images: str = ""
    trajectories: str | None = None
    hit_rate: float = 0.8
    reasoning_words_mean: float = 100.0
    reasoning_words_std: float = 40.0
    answer_words: int = 25


@dataclass(kw_only=True)
class AgentConfig:
    """Which agent, and how many of it. `command_timeout_s` bounds a command or a run of tests of an SWE agent."""

    name: str = MISSING
    kind: AgentKind = AgentKind.function_calling
    num_agents: int = MISSING
    tasks_per_agent: int = MISSING
    max_turns: int = 20
    command_timeout_s: float = 60.0


@dataclass(kw_only=True)
class SpeculationConfig:
    """With `is_forking`, calls that change a workspace and nothing else are launched ahead too, in forks of it."""

    mode: Speculation = MISSING
    max_executions_per_turn: int = 16
    max_draft_usd: float | None = None  # of one run of an arm, by `prices`; then the draft is not asked any more
    is_forking: bool = True
    is_adaptive: bool = False  # precall/adaptive.py; the cost model's prediction is that of speculation always on


@dataclass(kw_only=True)
class LatencyConfig:
    """Injected tool latency: `kind` none, constant, normal or lognormal. The mean in seconds, or as a multiple of G,
    the measured mean time of one target generation that ends in a call; one of the two. The standard deviation is
    `relative_std` times the mean."""

    kind: str = MISSING
    mean_s: float | None = None
    mean_g: float | None = None
    relative_std: float = 0.0


@dataclass(kw_only=True)
class PriceConfig:
    input_usd: float = MISSING
    output_usd: float = MISSING


@dataclass(kw_only=True)
class PricesConfig:
    """US dollars per million tokens, by a model's path or, where it has none, its name; `source` says whose prices of
    when they are. A model that is not listed has no cost."""

    name: str = MISSING
    source: str = MISSING
    models: dict[str, PriceConfig] = field(default_factory=dict)


@dataclass(kw_only=True)
class TrackerConfig:
    mode: TrackerMode = TrackerMode.auto
    project: str = "precall"


@dataclass(kw_only=True)
class ScaleConfig:
    """How much is run: blocks per setting, agents, tasks per agent, the tool latencies of latency sweeps, and the
    numbers of samples and the pocket drafts of sweeps over samples."""

    name: str = MISSING
    num_blocks: int = MISSING
    num_agents: int = MISSING
    tasks_per_agent: int = MISSING
    latencies: list[float] = MISSING
    num_samples: list[int] = MISSING
    drafts: list[str] = MISSING


@dataclass(kw_only=True)
class Config:
    """One experiment: the settings below, varied over `grid` (dotted key -> values), each in `scale.num_blocks`
    blocks."""

    experiment: str = MISSING
    model: ModelConfig = field(default_factory=ModelConfig)
    draft: DraftConfig = field(default_factory=DraftConfig)
    backend: BackendConfig = field(default_factory=BackendConfig)
    workload: WorkloadConfig = field(default_factory=WorkloadConfig)
    agent: AgentConfig = field(default_factory=AgentConfig)
    speculation: SpeculationConfig = field(default_factory=SpeculationConfig)
    latency: LatencyConfig = field(default_factory=LatencyConfig)
    prices: PricesConfig = field(default_factory=PricesConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    scale: ScaleConfig = field(default_factory=ScaleConfig)
    jobs: JobsConfig = field(default_factory=JobsConfig)
    grid: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    output: str = SI("results/runs/${scale.name}/${experiment}")


def trajectory_file(config: Config) -> str | None:
    """Return the file of the trajectories that are replayed: the one that is named, or, where the model replays, the
    one that comes with our own tasks; None where there is neither."""
    if config.workload.trajectories is not None or not config.model.is_replay:
        return config.workload.trajectories
    name = _RECORDINGS.get((config.workload.source, config.agent.kind))
    return None if name is None else str(RECORDED / name)


def check(config: Config) -> None:
    """Raise ConfigError for a setting that is outside its rule and that no later step would name as well."""
    _at_least_one("scale.num_blocks", config.scale.num_blocks)
    _at_least_one("agent.num_agents", config.agent.num_agents)
    _at_least_one("agent.tasks_per_agent", config.agent.tasks_per_agent)
    _at_least_one("agent.max_turns", config.agent.max_turns)
    _at_least_one("draft.num_replicas", config.draft.num_replicas)
    _at_least_one("draft.num_samples", config.draft.num_samples)
    _at_least_one("speculation.max_executions_per_turn", config.speculation.max_executions_per_turn)
    _at_least_one("backend.max_num_seqs", config.backend.max_num_seqs)
    _at_least_one("backend.num_speculative_tokens", config.backend.num_speculative_tokens)
    latency = config.latency
    if latency.kind != "none" and (latency.mean_s is None) == (latency.mean_g is None):
        raise ConfigError(
            f"latency.mean_s is {latency.mean_s} and latency.mean_g is {latency.mean_g}; exactly one must be given, "
            "in seconds or as a multiple of G. latency=none injects nothing."
        )
    for name in ("mean_s", "mean_g", "relative_std"):
        value = getattr(latency, name)
        if value is not None and not 0.0 <= value < float("inf"):
            raise ConfigError(f"latency.{name} is {value}; it must be 0 or more. latency=none injects nothing.")
    speculates = config.speculation.mode is not Speculation.off
    if config.draft.place is DraftPlace.given_to_target and (speculates or config.backend.kind is not BackendKind.vllm):
        raise ConfigError(
            f"draft.place is given_to_target, speculation.mode is {config.speculation.mode.value} and backend.kind is "
            f"{config.backend.kind.value}; the target can have the draft's hardware only where nothing is drafted, on "
            "servers that the harness starts. Use speculation=off and backend=vllm_baseline, or another draft.place."
        )
    if speculates:
        _check_draft(config)
    check_jobs(config.jobs)
    _check_workload(config)
    backend = config.backend
    if config.speculation.mode is Speculation.engine and not backend.has_tool_cache:
        raise ConfigError(
            f"speculation.mode is engine and backend {backend.name} has no tool cache: backend.is_residency and "
            "backend.is_drafting are false; one must be true. Use backend=vllm_resident, or speculation=client."
        )
    if backend.has_tool_cache and backend.kind is BackendKind.external:
        raise ConfigError(
            f"backend.is_residency is {backend.is_residency}, backend.is_drafting is {backend.is_drafting} and "
            "backend.kind is external; only servers that the harness starts have an engine side. Use "
            "backend=vllm_resident, or leave both false."
        )
    if backend.kind is BackendKind.simulated:
        _check_simulated(config)
    if backend.kind is not BackendKind.external and backend.max_retries:
        raise ConfigError(
            f"backend.max_retries is {backend.max_retries} and backend.kind is {backend.kind.value}; servers that the "
            "harness starts must answer each request. Leave it 0, or use backend=external."
        )
    if backend.kind is BackendKind.external and not backend.url:
        raise ConfigError("backend.url is empty; an external backend needs the endpoint's address, which ends in /v1.")


def _check_draft(config: Config) -> None:
    draft = config.draft
    has_model = draft.kind is DraftKind.model
    if draft.place is DraftPlace.elsewhere and not config.model.is_replay:
        raise ConfigError(
            f"draft.place is elsewhere and model {config.model.name} is live; a draft elsewhere answers from a "
            "recording. Use draft=colocated, or a model that replays."
        )
    if has_model and config.model.is_replay != draft.model.is_replay:
        raise ConfigError(
            f"model.is_replay is {config.model.is_replay} and draft.model.is_replay is {draft.model.is_replay}; "
            "both must replay or neither."
        )
    if has_model == (draft.place is DraftPlace.in_process):
        raise ConfigError(
            f"draft.kind is {draft.kind.value} and draft.place is {draft.place.value}; a draft is in_process if and "
            "only if it has no model. Use draft=pattern or draft=oracle, or another place."
        )
    if not has_model and draft.num_samples != 1:
        raise ConfigError(
            f"draft.num_samples is {draft.num_samples} and draft.kind is {draft.kind.value}, which gives one sample. "
            "Leave it 1."
        )
    if not draft.model.is_replay and draft.num_samples > 1 and draft.model.temperature == 0.0:
        raise ConfigError(
            f"draft.num_samples is {draft.num_samples} at draft.model.temperature 0: all samples would be alike. "
            "Set the temperature above 0, or draft.num_samples to 1."
        )
    if draft.kind is DraftKind.oracle and not config.model.is_replay:
        raise ConfigError(
            f"draft.kind is oracle and model {config.model.name} is live; an oracle is told the calls of a recording. "
            "Use a model that replays."
        )
    if not 0.0 <= draft.alpha <= 1.0:
        raise ConfigError(f"draft.alpha is {draft.alpha}; it must be in [0, 1].")
    if not 0.0 <= draft.delay_s < float("inf"):
        raise ConfigError(f"draft.delay_s is {draft.delay_s}; it must be 0 or more.")


def _check_workload(config: Config) -> None:
    workload = config.workload
    agents = AGENTS[workload.source]
    if config.agent.kind not in agents:
        raise ConfigError(
            f"agent.kind is {config.agent.kind.value} and workload {workload.name} has tasks for "
            f"{' and '.join(kind.value for kind in agents)}. Use agent={agents[0].value}."
        )
    if config.model.is_replay and workload.source is not TaskSource.bfcl and trajectory_file(config) is None:
        raise ConfigError(
            f"model {config.model.name} replays and workload.trajectories is null; trajectories can be built for BFCL "
            f"alone. Name a file that a run of workload={workload.name} has recorded, or choose a live model."
        )
    if not 0.0 < config.agent.command_timeout_s < float("inf"):
        raise ConfigError(f"agent.command_timeout_s is {config.agent.command_timeout_s}; it must be above 0.")
    if workload.source is TaskSource.swe_bench and not (workload.dataset and "{instance}" in workload.images):
        raise ConfigError(
            f"workload.dataset is {workload.dataset!r} and workload.images is {workload.images!r}; the first must name "
            "a data set or a file, and the second must hold {instance}. Use workload=swe_bench_lite."
        )


def _check_simulated(config: Config) -> None:
    if config.backend.simulated_target is None or config.backend.simulated_draft is None:
        raise ConfigError(
            "backend.kind is simulated, and backend.simulated_target or backend.simulated_draft is not given; both "
            "must be. Use backend=simulated."
        )
    if not config.model.is_replay:
        raise ConfigError(
            f"backend.kind is simulated and model {config.model.name} is live; a simulated engine follows "
            "trajectories. Use a model that replays."
        )
    is_colocated = config.speculation.mode is not Speculation.off and config.draft.place is DraftPlace.colocated
    if is_colocated and config.backend.simulated_core is None:
        raise ConfigError(
            "draft.place is colocated, backend.kind is simulated and backend.simulated_core is not given; then "
            "simulated engines share nothing. Use backend=simulated_two_cores, draft=elsewhere or "
            "draft.place=dedicated."
        )


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ConfigError(f"{name} is {value}; it must be at least 1.")


def to_config(node: Any) -> Config:
    """Return the configuration of an OmegaConf node that has this schema. Raises ConfigError when a value is missing
    or refers to a key that does not exist."""
    try:
        missing = sorted(OmegaConf.missing_keys(node))
        config = None if missing else OmegaConf.to_object(node)
    except OmegaConfBaseException as error:
        raise ConfigError(f"A value of the configuration refers to nothing: {error}.") from error
    if missing:
        raise ConfigError(f"{missing[0]} has no value; it must have one. Give it on the command line or in its group.")
    assert isinstance(config, Config), f"the node has type {type(config).__name__}"
    return config


def to_plain(config: Config) -> dict[str, Any]:
    """Return a configuration as plain data, the members of enums by their names."""
    return _plain(asdict(config))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.name if isinstance(value, Enum) else value
