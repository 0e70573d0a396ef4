"""A small experiment against a server in the place of vLLM, for the tests."""

from collections.abc import Callable
from pathlib import Path

from harness.records import RunFolder
from tests.harness.fake_vllm import FakeVllm

# Two settings in one block: two agents with a task of two turns each, so 4 runs x 2 agents x 2 turns in a cell.
FLOW = (
    "experiment=fig1",
    "scale=smoke",
    "scale.num_blocks=1",
    "scale.num_agents=2",
    "scale.latencies=[0.0,1.0]",
    "backend=external",
)
NUM_REQUESTS_OF_A_CELL = 16

Run = Callable[..., int]
"""Runs the experiment with more overrides and returns the exit code."""


def flow(fake: FakeVllm, output: Path, *overrides: str, tracker: str = "disabled") -> list[str]:
    urls = [f"backend.url={fake.url}", f"backend.draft_url={fake.url}"]
    return [*FLOW, *urls, f"tracker.mode={tracker}", f"output={output}", *overrides]


def cells_in(output: Path) -> dict[str, RunFolder]:
    return {folder.name: RunFolder(folder) for folder in sorted(output.glob("mean_g_*"))}


def statuses(output: Path) -> list[str | None]:
    manifests = [folder.manifest for folder in cells_in(output).values()]
    return [manifest and manifest["status"] for manifest in manifests]
