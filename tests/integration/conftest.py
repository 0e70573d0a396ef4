"""One target for all tests on the real engine, started once, and what the tests ask it with."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from harness import build
from harness.backends.vllm_server import VllmServer
from harness.model_paths import model_path
from harness.replay.rendering import HermesRenderer
from harness.schema import Config
from precall.chat import ChatClient
from tests.integration.arms import integration_config, running


@pytest.fixture(scope="session")
def config() -> Config:
    return integration_config("experiment=fig1")


@pytest.fixture(scope="session")
def target(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    """The target `replay_tiny`, up for the whole session."""
    with running(build.target_server(config), tmp_path_factory.mktemp("logs")) as server:
        yield server


@pytest.fixture(autouse=True)
def alive(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test after which the target is gone has failed, whatever it asserted."""
    yield
    if "target" in request.fixturenames:
        asyncio.run(request.getfixturevalue("target").check_alive())


@pytest.fixture
async def client(config: Config, target: VllmServer) -> AsyncIterator[ChatClient]:
    client = ChatClient(base_url=target.base_url, model=config.model.name)
    yield client
    await client.aclose()


@pytest.fixture(scope="session")
def model_folder(config: Config) -> Path:
    return Path(model_path(config.model))


@pytest.fixture(scope="session")
def renderer(model_folder: Path) -> HermesRenderer:
    return HermesRenderer(model_folder)
