"""What all tests stand on."""

import asyncio
import functools
import gc
from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest

from agents.sandbox.results import SandboxError
from agents.sandbox.sandbox import Sandbox
from tests.agents.sandbox.sandboxes import SMALL, empty_workspace
from tests.task_leaks import noting_tasks_left

END = "-----END CERTIFICATE-----\n"


def pytest_configure() -> None:
    gc.disable()


def pytest_collection_finish() -> None:
    """Have Python look for dead cycles among the objects of the tests alone: with those of vLLM, a look takes 0.3 s."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    gc.unfreeze()  # or extensions complain at the end of what is still alive


@pytest.fixture(scope="session", autouse=True)
def few_certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Trust one certificate only: httpx reads all it trusts for every client, in some 20 ms, and no test needs any."""
    file = tmp_path_factory.mktemp("certificates") / "one.pem"
    file.write_text(Path(certifi.where()).read_text().partition(END)[0] + END)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(file))
        yield


@pytest.fixture
def no_task_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test whose event loop still has a task when it is closed; the mark leaves_tasks is for tests of that."""
    with noting_tasks_left() as left:
        yield
    if request.node.get_closest_marker("leaves_tasks") is None:
        assert not left, f"tasks were left behind: {left}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the sandbox where it cannot run, with the reason; `make doctor` says how to get it."""
    names = ("sandbox", "forks", "interpreter", "reasoning")
    folders = tuple(f"tests/agents/{name}/" for name in names)
    sandboxed = [
        item
        for item in items
        if item.get_closest_marker("sandbox") or any(folder in str(item.path) for folder in folders)
    ]
    if not sandboxed or (reason := _why_there_is_no_sandbox()) is None:
        return
    for item in sandboxed:
        item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def sandbox_here() -> None:
    """Skip the test where the sandbox cannot run."""
    if (reason := _why_there_is_no_sandbox()) is not None:
        pytest.skip(reason)


@functools.cache
def _why_there_is_no_sandbox() -> str | None:
    try:
        with empty_workspace() as workspace:
            finished = asyncio.run(Sandbox(SMALL).run(["true"], workspace, timeout_s=20.0))
    except (SandboxError, OSError, TimeoutError) as error:
        return f"the sandbox does not run here: {error}"
    return None if finished.returncode == 0 else f"the sandbox does not run here: {finished.stderr.strip()}"
