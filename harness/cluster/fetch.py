"""`make fetch ARGS='experiment=NAME [overrides]'`: downloads, by the configuration, what an experiment takes from the
hub, for nodes without a network: the weights of target and draft, and the data set.

The rest is there already: `make setup` has made the environment from its wheels, in the checkout.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from harness.command import composed, ending
from harness.experiment import experiments_of
from harness.jobs import Job
from harness.model_paths import folder_here
from harness.schema import BackendKind, Config, ModelConfig, Speculation
from harness.workloads.load import load_tasks
from precall.errors import ConfigError

# Weights in other formats than the one that vLLM loads, in some repositories as large again.
NOT_NEEDED = ["original/*", "metal/*", "*.pth", "*.pt", "*.gguf", "*.onnx", "*.msgpack", "*.h5"]


def hub_models(configs: Iterable[Config]) -> list[str]:
    """Return the names on the hub of the models that servers of these configurations load, each once."""
    found: dict[str, None] = {}
    for config in configs:
        if config.backend.kind is not BackendKind.vllm:
            continue
        speculates = config.speculation.mode is not Speculation.off
        for model in (config.model, config.draft.model) if speculates else (config.model,):
            if _is_on_hub(model):
                found[model.path] = None
    return list(found)


def _is_on_hub(model: ModelConfig) -> bool:
    return model.tiny is None and bool(model.path) and folder_here(model) is None


def check_fetched(jobs: Iterable[Job]) -> None:
    """Raise ConfigError for a model that servers of these jobs would have to ask the hub for."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    for name in hub_models(cell.config for job in jobs for cell in job.cells):
        try:
            snapshot_download(name, local_files_only=True)
        except LocalEntryNotFoundError as error:
            raise ConfigError(
                f"jobs.is_offline is true and {name} is not in the cache of the hub; nodes without a network need it "
                "there. Run `make fetch` with the same ARGS first, or set jobs.is_offline=false."
            ) from error


def fetch(configs: Iterable[Config]) -> None:
    """Download what these configurations need. Raises ConfigError for what cannot be had."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    kept = list(configs)
    for name in hub_models(kept):
        _say(f"model {name}")
        try:
            folder = snapshot_download(name, ignore_patterns=NOT_NEEDED)
        except (HfHubHTTPError, OSError, ValueError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise ConfigError(
                f"model {name} cannot be downloaded: {reason}. Check the name, the network, and whether it asks for an "
                "account (hf auth login)."
            ) from error
        size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
        _say(f"model {name}: {size / 2**30:.1f} GiB in {folder}")
    for config in {repr((config.workload, config.agent.kind)): config for config in kept}.values():
        _say(f"tasks of workload {config.workload.name}")
        load_tasks(config, 1, 0)  # reads the data set as a run does, which leaves it in the cache


def _say(text: str) -> None:
    print(f"fetch: {text}", file=sys.stderr, flush=True)


def main() -> None:
    if nodes := composed():
        ending(lambda: fetch(cell.config for experiment in experiments_of(nodes) for cell in experiment.cells))


if __name__ == "__main__":
    main()
