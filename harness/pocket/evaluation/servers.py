"""The servers on which pocket models are evaluated: the target on one half of the cores, a draft on the other."""

from pathlib import Path

from harness import build
from harness.backends.model_folder import check_model_folder
from harness.backends.vllm_settings import VllmServerSettings
from harness.pocket.family import MAX_POSITIONS, TARGET, PocketModel

MODELS = Path(__file__).parent.with_name("models")
MAX_NUM_SEQS = 128
KV_CACHE_GIB = 1


def server_settings(model: PocketModel, models: Path) -> VllmServerSettings:
    """Return the settings of the server of a model whose folder lies in `models`. Raises ConfigError for a folder that
    cannot be served, or is not as it was exported."""
    check_model_folder(models / model.name, "hermes", has_weights=True)
    platform = build.installed_platform()
    cores, api_cores = build.split_cores() if platform == "cpu" else ((), ())
    return VllmServerSettings(
        name=model.name,
        model=str(models / model.name),
        served_model_name=model.name,
        platform=platform,
        dtype="float32",  # as in conf/: greedy decoding is then the same beside other requests
        max_model_len=MAX_POSITIONS,
        max_num_seqs=MAX_NUM_SEQS,
        is_prefill_whole=platform == "cpu",  # drafts sample, see harness/build.py
        reasoning_parser="qwen3" if model.has_reasoning else None,
        kv_cache_gib=KV_CACHE_GIB,
        cores=cores if model is TARGET else api_cores[:1],
        api_cores=api_cores,
        gpu_ids=(0,) if platform == "cuda" else (),
    )
