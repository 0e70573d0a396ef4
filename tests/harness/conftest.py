"""What several of the harness's tests stand on."""

from pathlib import Path

import pytest

from harness import build
from tests.harness.configs import config_of


@pytest.fixture(scope="session")
def tiny_folder() -> Path:
    """The folder of the target replay_tiny, made if it is not there."""
    return Path(build.model_path(config_of().model))
