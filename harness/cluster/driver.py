"""Whether the GPUs of this machine and their driver do for the pinned torch. Standard library only: `make doctor` asks
it before there is an environment, of whatever Python is at hand."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

LOCK = Path(__file__).resolve().parents[2] / "requirements" / "cuda.txt"
MIN_DRIVERS = {"12": "525.60.13", "13": "580.65.06"}
"""The oldest driver for Linux by CUDA's major version; later minor ones of it run there too (NVIDIA's CUDA
compatibility guide, minor version compatibility)."""


def cuda_of(lock: str) -> str:
    """Return the version of the CUDA runtime that a lock file pins for torch."""
    found = re.search(r"^nvidia-cuda-runtime(?:-cu\d+)?==(\S+)", lock, flags=re.MULTILINE)
    assert found is not None, "the lock file pins no CUDA runtime"
    return found[1]


def drivers_here() -> list[str]:
    """Return the driver's version as each GPU tells it; empty where there is no GPU."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    return asked.stdout.split() if asked.returncode == 0 else []


def driver_problem(driver: str, cuda: str) -> str | None:
    """Return what is wrong with a driver for a CUDA runtime, and the remedy; None if nothing is."""
    wanted = MIN_DRIVERS.get(cuda.partition(".")[0])
    if wanted is None or _numbers(driver) >= _numbers(wanted):
        return None
    return (
        f"the driver is {driver}; the pinned torch is built for CUDA {cuda}, which needs {wanted} or later. Have it "
        "updated, or choose nodes that have it."
    )


def gpu_problem(num_wanted: int) -> str | None:
    """Return what is wrong with the GPUs here where `num_wanted` are needed, and the remedy; None if nothing is."""
    drivers = drivers_here()
    if len(drivers) < num_wanted:
        return (
            f"nvidia-smi lists {len(drivers)} GPUs and {num_wanted} are needed. Choose nodes that have as many, or, "
            "where they have, a driver that answers."
        )
    problems = [driver_problem(driver, cuda_of(LOCK.read_text(encoding="utf-8"))) for driver in drivers[:num_wanted]]
    return next((problem for problem in problems if problem is not None), None)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))
