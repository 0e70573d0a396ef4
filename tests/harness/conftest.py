"""What several of the harness's tests stand on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import build, model_paths
from harness.model_paths import model_path
from tests.harness.command_line import run_here
from tests.harness.configs import config_of
from tests.harness.experiments import Run, flow
from tests.harness.fake_vllm import FakeVllm


@pytest.fixture(scope="session")
def tiny_folder() -> Path:
    """The folder of the target replay_tiny, made if it is not there."""
    return Path(model_path(config_of().model))


@pytest.fixture(scope="session")
def fake(tiny_folder: Path) -> Iterator[FakeVllm]:
    with FakeVllm(tokenizer_file=tiny_folder / "tokenizer.json") as fake:
        yield fake


@pytest.fixture
def server(fake: FakeVllm) -> Iterator[FakeVllm]:
    """The server as it is when nothing goes wrong, with nothing counted yet."""
    fake.reset()
    yield fake
    fake.reset()


@pytest.fixture
def run(server: FakeVllm, tmp_path: Path) -> Run:
    """Run the experiment with its output in `tmp_path`, and return the exit code."""
    return lambda *overrides: run_here(*flow(server, tmp_path / "out", *overrides), bench_folder=tmp_path / "bench")


@pytest.fixture(scope="session")
def finished(fake: FakeVllm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder above the output of a finished run, tracked offline."""
    folder = tmp_path_factory.mktemp("finished")
    assert run_here(*flow(fake, folder / "out", tracker="offline"), bench_folder=folder / "bench") == 0
    return folder


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the environment look like one with vLLM for GPUs and with every model of the hub."""
    monkeypatch.setattr(build, "_is_installed", lambda name: False)
    monkeypatch.setattr(model_paths, "_check_on_hub", lambda model: None)
