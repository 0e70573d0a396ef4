"""The tool `python`: an interpreter that keeps its variables between calls, and can be forked."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from agents.interpreter.interpreter import Interpreter
from agents.sandbox.identity import give_to_sandbox
from agents.sandbox.limits import Limits
from agents.sandbox.sandbox import Sandbox
from precall.tools import Effect, Fork, Tool

SNIPPET_TIMEOUT_S = 20.0
_OVERHEAD_S = 40.0  # for a start, and a loaded machine; a call that takes longer says nothing of the state
_DESCRIPTION = (
    "Run Python code and return what it prints, followed by the value of its last expression. Variables, functions and "
    "imports are kept for later calls. The standard library, numpy and sympy are there; files cannot be written, and "
    f"there is no network. A call may take {SNIPPET_TIMEOUT_S:g} seconds."
)
_PARAMETERS = {
    "type": "object",
    "properties": {"code": {"type": "string", "description": "The code to run."}},
    "required": ["code"],
}


def interpreter_limits() -> Limits:
    """Return the limits of an interpreter with all its forks."""
    return Limits(max_memory_mib=1024, max_processes=64)


def python_tool(interpreter: Interpreter | None) -> Tool:
    """Return the tool at work in `interpreter`; with None, one to read: schema, effect and that it can be forked."""

    async def run(code: str) -> str:
        assert interpreter is not None, "the tool is to be read"
        if not isinstance(code, str):
            raise TypeError(f"code is {code!r}; it must be a string.")
        return await interpreter.run(code)

    async def fork() -> Fork:
        assert interpreter is not None, "the tool is to be read"
        return await interpreter.fork()

    return Tool(
        name="python",
        description=_DESCRIPTION,
        parameters=_PARAMETERS,
        function=run,
        effect=Effect.WORKSPACE,
        timeout_s=SNIPPET_TIMEOUT_S + _OVERHEAD_S,
        fork=fork,
    )


@asynccontextmanager
async def open_python(sandbox: Sandbox) -> AsyncIterator[Tool]:
    """Yield the tool with an interpreter of its own, which is started and ends with the block."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        give_to_sandbox(folder)
        interpreter = Interpreter(sandbox, folder, snippet_timeout_s=SNIPPET_TIMEOUT_S)
        try:
            await interpreter.start()
            yield python_tool(interpreter)
        finally:
            await interpreter.aclose()
