"""What the tests of the engine side stand on."""

from pathlib import Path

import pytest

from harness import build
from tests.harness.configs import config_of


@pytest.fixture(scope="session")
def tiny_folder() -> Path:
    """The folder of the target replay_tiny, made if it is not there."""
    return Path(build.model_path(config_of().model))


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_PLUGINS", "precall")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
