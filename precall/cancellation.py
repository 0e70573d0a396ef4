"""Steps of a request that a cancellation must not break in two."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
PATIENCE_S = 1.0
"""Seconds that a step goes on for after a cancellation, at most."""


async def finish_first(step: Coroutine[Any, Any, T], abandon: Callable[[T], Awaitable[object]] | None = None) -> T:
    """Return what `step` returns. When this task is cancelled meanwhile, `step` goes on to its end first, or for
    PATIENCE_S; what it returns then goes to `abandon`.

    httpcore (1.0.9) never frees a connection whose request is cancelled while it gets it or gives it back, and a draft
    is cancelled in every turn in which the target is faster: https://github.com/encode/httpcore/issues/1093.
    """
    task = asyncio.create_task(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=PATIENCE_S)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        elif abandon is not None and not task.cancelled() and task.exception() is None:
            await abandon(task.result())
        raise
