"""Drivers and GPUs: what does for the pinned torch, and what is said where it does not."""

import pytest

from harness.cluster import driver
from harness.cluster.driver import LOCK, MIN_DRIVERS, cuda_of, driver_problem, gpu_problem


def test_the_lock_file_says_which_cuda_the_pinned_torch_is_built_for() -> None:
    lock = LOCK.read_text()
    cuda = cuda_of(lock)
    assert cuda.partition(".")[0] in MIN_DRIVERS
    assert cuda_of("torch==1\nnvidia-cuda-runtime-cu12==12.8.90\nnvidia-cuda-runtime-dev==1") == "12.8.90"


@pytest.mark.parametrize(
    ("version", "cuda", "is_good"),
    [
        ("580.65.06", "13.0.96", True),
        ("590.1", "13.0.96", True),
        ("580.65.05", "13.0.96", False),
        ("575.57.08", "13.0.96", False),
        ("535.183.01", "12.8.90", True),
        ("470.256.02", "12.8.90", False),
    ],
)
def test_a_driver_does_from_the_first_of_its_cuda_on(version: str, cuda: str, is_good: bool) -> None:
    problem = driver_problem(version, cuda)
    assert (problem is None) == is_good
    if problem is not None:
        assert f"the driver is {version}; the pinned torch is built for CUDA {cuda}" in problem


def test_a_node_with_too_few_gpus_or_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "drivers_here", lambda: ["590.1"] * 3)
    assert gpu_problem(3) is None
    assert gpu_problem(0) is None
    assert "lists 3 GPUs and 4 are needed" in (gpu_problem(4) or "")
    monkeypatch.setattr(driver, "drivers_here", lambda: ["470.1"])
    assert "the driver is 470.1" in (gpu_problem(1) or "")


def test_a_job_without_gpus_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert driver.drivers_here() == []
    assert gpu_problem(0) is None
