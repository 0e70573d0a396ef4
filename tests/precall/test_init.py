"""The package as it is imported: its frozen exports, and what importing it does not load."""

import subprocess
import sys

import precall


def test_importing_precall_loads_no_heavy_library():
    heavy = "torch hydra omegaconf wandb openai httpx pandas numpy vllm transformers"
    program = f"import sys, precall; print(*(name for name in {heavy!r}.split() if name in sys.modules))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


def test_the_exports_are_frozen():
    assert precall.__all__ == [
        "ChatClient",
        "ChatDraft",
        "ChatTarget",
        "ClientSpeculation",
        "Effect",
        "LaunchPolicy",
        "Ledger",
        "NoSpeculation",
        "Observation",
        "ResidentTarget",
        "Sampling",
        "Tool",
        "ToolCachePublisher",
        "ToolCall",
        "TurnRunner",
        "canonical_key",
    ]
    assert all(hasattr(precall, name) for name in precall.__all__)
