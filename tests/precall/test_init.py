"""The package as it is imported: its frozen exports, what importing it does not load, and how long it takes."""

import subprocess
import sys

import precall

TIMED = "import time; began = time.perf_counter(); import precall; print(time.perf_counter() - began)"
LIMIT_S = 0.5
MAX_TRIES = 20
"""A machine that is busy makes any one of them slow."""


def run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_importing_precall_loads_no_heavy_library():
    heavy = "torch hydra omegaconf wandb openai httpx pandas numpy vllm transformers"
    program = f"import sys, precall; print(*(name for name in {heavy!r}.split() if name in sys.modules))"
    assert run(program).split() == []


def test_importing_precall_takes_less_than_half_a_second():
    assert any(float(run(TIMED)) < LIMIT_S for _ in range(MAX_TRIES)), f"{MAX_TRIES} tries took longer each"


def test_the_exports_are_frozen():
    assert precall.__all__ == [
        "ChatClient",
        "ChatDraft",
        "ChatTarget",
        "Effect",
        "LaunchPolicy",
        "Ledger",
        "Sampling",
        "Speculator",
        "SpendingCap",
        "TokenPrice",
        "Tool",
        "tools_from_openai",
    ]
    assert all(hasattr(precall, name) for name in precall.__all__)
