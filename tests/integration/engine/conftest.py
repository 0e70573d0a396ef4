"""The server on which the tests of the engine side run: the real engine, with precall's plugin."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from harness.backends.vllm_server import VllmServer
from harness.backends.vllm_settings import VllmServerSettings
from harness.model_paths import model_path
from harness.replay.context_recorder import FILE
from tests.harness.configs import config_of
from tests.integration.engine.reacting_model import make_reacting_model


@pytest.fixture(scope="module")
def context_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("contexts") / "contexts.jsonl"


def settings_of(model: Path, context_file: Path, **changes: Any) -> VllmServerSettings:
    """Return the settings of a server on which turns can be forced and contexts are recorded."""
    return VllmServerSettings(
        name="engine_side",
        model=str(model),
        served_model_name="m",
        platform="cpu",
        dtype="float32",
        max_model_len=2048,
        max_num_seqs=20,
        kv_cache_gib=1,
        logits_processors=(
            "harness.replay.plugin:ReplayLogitsProcessor",
            "harness.replay.context_recorder:ContextRecorder",
        ),
        entry_module="precall.engine.serve",
        extra_args=("--api-key", "the key"),
        env=((FILE, str(context_file)),),
        **changes,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory, context_file: Path) -> AsyncIterator[VllmServer]:
    folder = tmp_path_factory.mktemp("model")
    model = make_reacting_model(Path(model_path(config_of().model)), folder / "reacting")
    async with VllmServer(settings_of(model, context_file), log_folder=folder) as server:
        yield server
