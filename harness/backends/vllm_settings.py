"""What a vLLM server is started with: settings, and the command line and environment they stand for.

Flags and variables are those of vLLM 0.32.0.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from precall.errors import ConfigError

# Not `vllm serve`: it asks for the version of a distribution named vllm, and the CPU build has another name.
STOCK_MODULE = "vllm.entrypoints.openai.api_server"
# Counts what the scheduler did, the same way in every arm. Other plugins load when `env` names them.
PLUGIN_GROUP = "vllm.stat_logger_plugins"
PLUGIN = "precall_steps"
DEFAULT_BATCHED_TOKENS = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmServerSettings:
    """One vLLM server.

    `name` stands in messages and names the log ("target", "draft"). `model` is a folder or a name on the hub.
    `kv_cache_gib` is needed on cpu, where vLLM otherwise takes most of the machine's memory; on cuda None leaves the
    size to vLLM. `cores` are for the process that computes and `api_cores` for the others (cpu only; empty: not bound).
    `niceness` above 0 has all its processes give way to others on the same cores (0 to 19).
    `gpu_ids` empty leaves the choice to vLLM; more than one are used with tensor parallelism. `is_prefill_whole` has
    each prompt computed in one step. `entry_module` is what Python runs. `extra_args` and `env` come last and win over
    what is set here.
    """

    name: str
    model: str
    served_model_name: str
    platform: Literal["cpu", "cuda"]
    dtype: str = "auto"
    max_model_len: int = 8192
    max_num_seqs: int = 32
    seed: int = 0
    load_format: str = "auto"
    tool_call_parser: str | None = "hermes"
    reasoning_parser: str | None = None
    chat_template: str | None = None
    logits_processors: tuple[str, ...] = ()
    enable_prefix_caching: bool = True
    is_prefill_whole: bool = False
    kv_cache_gib: int | None = None
    cores: tuple[int, ...] = ()
    api_cores: tuple[int, ...] = ()
    niceness: int = 0
    gpu_ids: tuple[int, ...] = ()
    entry_module: str = STOCK_MODULE
    extra_args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    start_timeout_s: float = 300.0

    def __post_init__(self) -> None:
        if self.platform not in ("cpu", "cuda"):
            raise ConfigError(f"{self.name}.platform is {self.platform!r}; it must be 'cpu' or 'cuda'.")
        for setting in ("name", "model", "served_model_name", "entry_module"):
            if not getattr(self, setting):
                raise ConfigError(f"{self.name}.{setting} is empty; a server needs one.")
        for setting in ("max_model_len", "max_num_seqs", "start_timeout_s"):
            if getattr(self, setting) <= 0:
                raise ConfigError(f"{self.name}.{setting} is {getattr(self, setting)}; it must be > 0.")
        if self.kv_cache_gib is None and self.platform == "cpu":
            raise ConfigError(f"{self.name}.kv_cache_gib is None; it must be given on cpu. 1 does for small models.")
        if self.kv_cache_gib is not None and self.kv_cache_gib < 1:
            raise ConfigError(f"{self.name}.kv_cache_gib is {self.kv_cache_gib}; it must be at least 1.")
        if not 0 <= self.niceness <= 19:
            raise ConfigError(f"{self.name}.niceness is {self.niceness}; it must be from 0 to 19.")
        for setting, platform in (("cores", "cpu"), ("api_cores", "cpu"), ("gpu_ids", "cuda")):
            if getattr(self, setting) and self.platform != platform:
                what = f"{self.name}.{setting} is {getattr(self, setting)} and platform is {self.platform}"
                raise ConfigError(f"{what}; {setting} is for {platform} only. Leave it empty.")


def command(settings: VllmServerSettings, port: int) -> list[str]:
    """Return the command line of the server."""
    line = [sys.executable, "-m", settings.entry_module, "--host", "127.0.0.1", "--port", str(port)]
    line += ["--model", settings.model, "--served-model-name", settings.served_model_name]
    line += ["--dtype", settings.dtype, "--load-format", settings.load_format, "--seed", str(settings.seed)]
    line += ["--max-model-len", str(settings.max_model_len), "--max-num-seqs", str(settings.max_num_seqs)]
    line += ["--enable-prefix-caching" if settings.enable_prefix_caching else "--no-enable-prefix-caching"]
    line += ["--disable-uvicorn-access-log", "--enable-logging-iteration-details"]
    if settings.is_prefill_whole:
        num_tokens = max(DEFAULT_BATCHED_TOKENS, settings.max_model_len)
        line += ["--no-enable-chunked-prefill", "--max-num-batched-tokens", str(num_tokens)]
    if settings.tool_call_parser is not None:
        line += ["--enable-auto-tool-choice", "--tool-call-parser", settings.tool_call_parser]
    if settings.reasoning_parser is not None:
        line += ["--reasoning-parser", settings.reasoning_parser]
    if settings.chat_template is not None:
        line += ["--chat-template", settings.chat_template]
    if settings.logits_processors:
        line += ["--logits-processors", *settings.logits_processors]
    if settings.platform == "cpu":
        line += ["--enforce-eager", "--distributed-executor-backend", "uni"]
    elif settings.kv_cache_gib is not None:
        line += ["--kv-cache-memory-bytes", str(settings.kv_cache_gib * 2**30)]
    if len(settings.gpu_ids) > 1:
        line += ["--tensor-parallel-size", str(len(settings.gpu_ids))]
    return [*line, *settings.extra_args]


def environment(settings: VllmServerSettings) -> dict[str, str]:
    """Return the variables that the server gets beside those of this process."""
    # V1 logits processors do nothing in Model Runner V2, and servers that are compared must run the same runner.
    variables = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_USE_V2_MODEL_RUNNER": "0"}
    variables["VLLM_PLUGINS"] = PLUGIN
    if Path(settings.model).is_dir():
        variables["HF_HUB_OFFLINE"] = "1"
    if settings.platform == "cpu":
        variables |= _cpu_environment(settings)
    elif settings.gpu_ids:
        variables["CUDA_VISIBLE_DEVICES"] = ",".join(_visible_gpus(settings))
    return variables | dict(settings.env)


def _visible_gpus(settings: VllmServerSettings) -> list[str]:
    """Return the names of the server's GPUs. Where a cluster has given this process some of the machine's, its first is
    number 0."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return [str(gpu) for gpu in settings.gpu_ids]
    names = [name for name in given.split(",") if name]
    if max(settings.gpu_ids) >= len(names):
        raise ConfigError(
            f"{settings.name}.gpu_ids is {settings.gpu_ids} and CUDA_VISIBLE_DEVICES is {given!r}; it must name at "
            f"least {max(settings.gpu_ids) + 1} GPUs. Ask for as many, or unset it."
        )
    return [names[gpu] for gpu in settings.gpu_ids]


def _cpu_environment(settings: VllmServerSettings) -> dict[str, str]:
    # Without the second variable vLLM on CPU turns the executor `uni` into `mp` without a word: one process more, which
    # spins, and a quarter of the throughput on two cores. The engine core is a process of its own in both cases.
    variables = {
        "VLLM_CPU_KVCACHE_SPACE": str(settings.kv_cache_gib),
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    if settings.cores:
        # Under `uni` vLLM binds no thread, `VllmServer` does; under `mp` vLLM does, by the second variable.
        variables["OMP_NUM_THREADS"] = str(len(settings.cores))
        variables["VLLM_CPU_OMP_THREADS_BIND"] = ",".join(map(str, settings.cores))
    return variables
