"""Sees which tasks an event loop still has when it is closed; asyncio cancels those in silence."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def noting_tasks_left() -> Iterator[list[asyncio.Task[object]]]:
    """Yield a list that gains the tasks left to every loop that is closed inside the block."""
    left: list[asyncio.Task[object]] = []
    cancel_all = asyncio.runners._cancel_all_tasks  # pyright: ignore[reportAttributeAccessIssue]

    def note_and_cancel(loop: asyncio.AbstractEventLoop) -> None:
        left.extend(running_tasks(loop))
        cancel_all(loop)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.runners, "_cancel_all_tasks", note_and_cancel)
        yield left


def running_tasks(loop: asyncio.AbstractEventLoop) -> set[asyncio.Task[object]]:
    """Return a loop's tasks that are not done. Left out are those by which a loop closes generators that somebody
    dropped (openai does), and those of a vLLM server in the test's process."""
    return {task for task in asyncio.all_tasks(loop) if not task.done() and not _is_of_others(task.get_coro())}


def _is_of_others(coroutine: object) -> bool:
    code = getattr(coroutine, "cr_code", None)
    is_of_vllm = code is not None and "/site-packages/vllm/" in code.co_filename
    return is_of_vllm or type(coroutine).__name__ == "async_generator_athrow"
