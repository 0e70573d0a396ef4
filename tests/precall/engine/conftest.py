"""What the tests of the engine side stand on."""

import logging
from pathlib import Path

import pytest

from harness.model_paths import model_path
from tests.harness.configs import config_of


@pytest.fixture(scope="session")
def tiny_folder() -> Path:
    """The folder of the target replay_tiny, made if it is not there."""
    return Path(model_path(config_of().model))


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_PLUGINS", "precall")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def vllm_log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What vLLM and precall's plugins log. Filters that a test adds are taken away again."""
    for name in ("vllm", "vllm.precall", "vllm.v1.metrics.loggers"):
        logger = logging.getLogger(name)
        monkeypatch.setattr(logger, "propagate", True)
        monkeypatch.setattr(logger, "disabled", False)  # Hydra disables whatever was there before it ran
        monkeypatch.setattr(logger, "filters", [])
        caplog.set_level("INFO", name)
    return caplog
