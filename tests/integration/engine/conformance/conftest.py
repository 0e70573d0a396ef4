"""Three servers for the conformance tests, started side by side and once: ours, a small one of ours, and stock vLLM.

All serve the same weights. `several_users` has vLLM's usual size and a key. `single_user` takes the paper's plain form,
has a reasoning parser, and bounds small enough to be reached. `stock` is vLLM's own module, without the plugin.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.backends.vllm_server import VllmServer
from harness.backends.vllm_settings import STOCK_MODULE, VllmServerSettings
from harness.model_paths import model_path
from tests.harness.configs import config_of
from tests.integration.engine.conformance.place import KEY, Place
from tests.integration.engine.reacting_model import make_reacting_model

SMALL = {
    "single_user": "true",
    "max_body_bytes": "6000",
    "max_entry_bytes": "2000",
    "max_entries_per_response": "4",
    "max_bytes_per_response": "5000",
    "max_total_bytes": "8000",
    "default_ttl_s": "1.0",
    "max_ttl_s": "2.0",
    "max_early_posts": "3",
    "max_early_bytes": "6000",
    "early_ttl_s": "1.5",
    "num_remembered": "2",
    "max_response_tokens": "60",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    several_users: VllmServer
    single_user: VllmServer
    stock: VllmServer


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("conformance")
    model = make_reacting_model(Path(model_path(config_of().model)), folder / "model")
    several_users = VllmServerSettings(
        name="several_users",
        model=str(model),
        served_model_name="m",
        platform="cpu",
        dtype="float32",
        max_model_len=1024,
        max_num_seqs=20,
        kv_cache_gib=1,
        logits_processors=("harness.replay.plugin:ReplayLogitsProcessor",),
        entry_module="precall.engine.serve",
        extra_args=("--api-key", KEY),
        env=(("TORCHDYNAMO_DISABLE", "1"),),  # vLLM compiles what ranks log probabilities at its first use, in 40 s
    )
    small = tuple(part for name, value in SMALL.items() for part in (f"--additional-config.precall.{name}", value))
    settings = (
        several_users,
        replace(several_users, name="single_user", reasoning_parser="qwen3", extra_args=small),
        replace(several_users, name="stock", entry_module=STOCK_MODULE),
    )
    started = [VllmServer(each, log_folder=folder) for each in settings]
    stack = AsyncExitStack()

    async def start() -> None:
        async with AsyncExitStack() as on_failure:
            await asyncio.gather(*(on_failure.enter_async_context(server) for server in started))
            stack.push_async_callback(on_failure.pop_all().aclose)

    asyncio.run(start())
    try:
        yield Servers(several_users=started[0], single_user=started[1], stock=started[2])
    finally:
        asyncio.run(stack.aclose())


async def _place(server: VllmServer, key: str | None = KEY) -> AsyncIterator[Place]:
    async with Place.at(server, key) as place:
        yield place
    await server.check_alive()


@pytest.fixture
async def several_users(servers: Servers) -> AsyncIterator[Place]:
    async for place in _place(servers.several_users):
        yield place


@pytest.fixture
async def single_user(servers: Servers) -> AsyncIterator[Place]:
    async for place in _place(servers.single_user, key=None):
        yield place


@pytest.fixture
async def stock(servers: Servers) -> AsyncIterator[Place]:
    async for place in _place(servers.stock):
        yield place
