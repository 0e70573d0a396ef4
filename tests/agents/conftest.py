"""A test that leaves an asyncio task behind fails. Where the sandbox cannot run, its tests are skipped with the reason;
`make doctor` says how to get it."""

import asyncio

import pytest

from agents.sandbox.results import SandboxError
from agents.sandbox.sandbox import Sandbox
from tests.agents.sandbox.sandboxes import SMALL, empty_workspace


@pytest.fixture(autouse=True)
def _no_task_is_left(no_task_is_left: None) -> None:
    pass


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    sandboxed = [
        item for item in items if "tests/agents/sandbox/" in str(item.path) or "agents/forks/" in str(item.path)
    ]
    if not sandboxed or (reason := _why_there_is_no_sandbox()) is None:
        return
    for item in sandboxed:
        item.add_marker(pytest.mark.skip(reason=reason))


def _why_there_is_no_sandbox() -> str | None:
    try:
        with empty_workspace() as workspace:
            finished = asyncio.run(Sandbox(SMALL).run(["true"], workspace, timeout_s=20.0))
    except (SandboxError, OSError, TimeoutError) as error:
        return f"the sandbox does not run here: {error}"
    return None if finished.returncode == 0 else f"the sandbox does not run here: {finished.stderr.strip()}"
