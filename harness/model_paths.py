"""From a model's configuration to what a server loads: a folder, made here or given, or a name on the hub."""

import functools
from dataclasses import asdict
from pathlib import Path

from harness.backends.model_folder import check_model_folder
from harness.provenance import ROOT
from harness.replay.tiny_gpt_oss import TinyGptOss, make_tiny_gpt_oss
from harness.replay.tiny_model import TinyArchitecture, make_tiny_model
from harness.schema import ModelConfig, TinyConfig
from precall.errors import ConfigError

CACHE = ROOT / ".cache"


def model_path(model: ModelConfig) -> str:
    """Return the folder or the hub name of a model, making a random one.

    Raises ConfigError for an unknown model, and for a folder that cannot be served.
    """
    if model.tiny is not None:
        return str(_tiny_folder(_architecture_of(model.tiny)))
    if not model.path:
        raise ConfigError(f"model {model.name} has neither a path nor a tiny architecture; it needs one of them.")
    if (folder := folder_here(model)) is not None:
        _check_folder(folder, model.tool_call_parser, has_weights=model.load_format != "dummy")
        return str(folder)
    _check_on_hub(model)
    return model.path


def folder_here(model: ModelConfig) -> Path | None:
    """Return the folder that a model's path names, relative to here or to the checkout; None where it is a hub name."""
    return next((folder for folder in (Path(model.path), ROOT / model.path) if folder.is_dir()), None)


_check_folder = functools.cache(check_model_folder)  # once for all settings of an experiment


@functools.cache
def _tiny_folder(architecture: TinyArchitecture | TinyGptOss) -> Path:
    if isinstance(architecture, TinyGptOss):
        return make_tiny_gpt_oss(architecture, CACHE)
    return make_tiny_model(architecture, CACHE)


def _architecture_of(tiny: TinyConfig) -> TinyArchitecture | TinyGptOss:
    size = asdict(tiny)
    if tiny.num_experts is not None:
        return TinyGptOss(**size)
    del size["num_experts"]
    return TinyArchitecture(**size)


def _check_on_hub(model: ModelConfig) -> None:
    from transformers import AutoConfig

    try:
        AutoConfig.from_pretrained(model.path)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"model {model.name} is {model.path!r}, which is no folder here, and the hub does not give it: {reason} "
            "Check the name, download it first (make fetch), or choose a model that needs no network, such as "
            "model=replay_tiny."
        ) from error
