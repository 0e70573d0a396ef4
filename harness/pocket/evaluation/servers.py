"""The servers on which pocket models are evaluated: the target on one half of the cores, a draft on the other."""

from pathlib import Path

from harness import build
from harness.backends.vllm_settings import VllmServerSettings
from harness.pocket.family import MAX_POSITIONS, TARGET, PocketModel
from precall.errors import ConfigError

MODELS = Path(__file__).parent.with_name("models")
MAX_NUM_SEQS = 128
KV_CACHE_GIB = 1


def server_settings(model: PocketModel, models: Path) -> VllmServerSettings:
    """Return the settings of the server of a model whose folder lies in `models`. Raises ConfigError for a folder that
    is not as it was exported."""
    check_folder(models / model.name)
    platform = build.installed_platform()
    cores, api_cores = build.split_cores() if platform == "cpu" else ((), ())
    return VllmServerSettings(
        name=model.name,
        model=str(models / model.name),
        served_model_name=model.name,
        platform=platform,
        max_model_len=MAX_POSITIONS,
        max_num_seqs=MAX_NUM_SEQS,
        reasoning_parser="qwen3" if model.has_reasoning else None,
        kv_cache_gib=KV_CACHE_GIB,
        cores=cores if model is TARGET else api_cores[:1],
        api_cores=api_cores,
        gpu_ids=(0,) if platform == "cuda" else (),
    )


def check_folder(folder: Path) -> None:
    """Raise ConfigError unless `folder` holds a model with the files that its checksums say."""
    from harness.pocket.export import SUMS, sums_of  # takes seconds: it loads torch

    remedy = f"Restore it from the repository, or train it with `make pocket-models ARGS='--models {folder.name}'`."
    if not (folder / SUMS).is_file():
        raise ConfigError(f"{folder} holds no {SUMS}; it must be the folder of a pocket model. {remedy}")
    stated, found = (folder / SUMS).read_text().splitlines(), sums_of(folder).splitlines()
    if differing := [line.split(maxsplit=1)[1] for line in stated if line not in found]:
        names = ", ".join(differing)
        raise ConfigError(f"{folder} is not as exported: {names}; each file must have its sum in {SUMS}. {remedy}")
