"""Nothing outlives its trajectory: a test that leaves an asyncio task behind fails."""

import pytest


@pytest.fixture(autouse=True)
def _no_task_is_left(no_task_is_left: None) -> None:
    pass
