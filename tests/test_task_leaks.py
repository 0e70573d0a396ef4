"""A task that is left behind is seen, on real time and on virtual."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from precall.testing.virtual_time import run_virtual
from tests.task_leaks import noting_tasks_left


async def linger() -> None:
    await asyncio.sleep(1e6)


@pytest.mark.parametrize("run", [asyncio.run, run_virtual])
@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_task_that_is_left_behind_is_noted_and_one_that_was_stopped_is_not(
    run: Callable[..., Any], is_stopped: bool
) -> None:
    async def main() -> None:
        task = asyncio.create_task(linger())
        await asyncio.sleep(0)
        if is_stopped:
            task.cancel()
            await asyncio.wait({task})

    with noting_tasks_left() as left:
        run(main())
    assert [task.get_coro().__name__ for task in left] == ([] if is_stopped else ["linger"])
