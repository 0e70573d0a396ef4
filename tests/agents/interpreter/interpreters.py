"""Helpers of the tests that run snippets."""

import asyncio
import contextlib
import select
from collections.abc import AsyncIterator
from dataclasses import replace

from agents.interpreter.interpreter import Interpreter
from agents.interpreter.process import PythonProcess
from agents.sandbox.sandbox import Sandbox
from tests.agents.sandbox.sandboxes import SMALL, empty_workspace


@contextlib.asynccontextmanager
async def an_interpreter(
    *, snippet_timeout_s: float = 60.0, max_output_kib: int = 16, **limits: int
) -> AsyncIterator[Interpreter]:
    """Yield an interpreter under small limits, and end it."""
    with empty_workspace() as folder:
        sandbox = Sandbox(replace(SMALL, **limits))
        interpreter = Interpreter(sandbox, folder, snippet_timeout_s=snippet_timeout_s, max_output_kib=max_output_kib)
        try:
            yield interpreter
        finally:
            await interpreter.aclose()


async def end_of(process: PythonProcess) -> None:
    """Return when the process has ended by itself."""
    ended, _, _ = await asyncio.to_thread(select.select, [process._descriptor], [], [], 10.0)
    assert ended and process.has_ended
