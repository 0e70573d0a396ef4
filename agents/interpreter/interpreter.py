"""The Python interpreter of one trajectory: snippets share variables and imports, and predicted snippets run in forks.

A snippet can change its own process and nothing else: no file, no other process, no network (docs/agents.md). So the
state is the process, and os.fork() is an exact fork of it.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from agents.interpreter.process import ProcessEndedError, PythonProcess, SnippetTimeoutError
from agents.sandbox.dialogue import Dialogue, open_dialogue
from agents.sandbox.launch import ReadOnly
from agents.sandbox.results import LimitError, SandboxError
from agents.sandbox.sandbox import Sandbox
from agents.sandbox.seccomp import interpreter_filter_program
from precall.errors import ForkError, StaleForkError

_PROGRAM = Path(__file__).with_name("inside.py")
_START_TIMEOUT_S = 20.0
_NUM_MAX_FORKS = 8


class StateLostError(RuntimeError):
    """A snippet has brought the interpreter to its end, and with it all variables and imports. The next snippet gets a
    new one."""


class Interpreter:
    """One trajectory's interpreter. `version` counts its states: snippets in place, commits, and its own ends.

    `folder` is what a snippet finds as its working folder, to read; `snippet_timeout_s` bounds each snippet, and
    `max_output_kib` what is kept of what it writes. An interpreter is started when it is first needed, and again after
    its end. `aclose` ends it.
    """

    def __init__(
        self, sandbox: Sandbox, folder: Path, *, snippet_timeout_s: float = 20.0, max_output_kib: int = 16
    ) -> None:
        self.version = 0
        self._sandbox = sandbox
        self._folder = folder
        self._snippet_timeout_s = snippet_timeout_s
        self._max_output_bytes = max_output_kib * 1024
        self._busy = asyncio.Lock()  # held while the state changes or is forked
        self._stack = AsyncExitStack()
        self._dialogue: Dialogue | None = None
        self._process: PythonProcess | None = None
        self._forks: set[InterpreterFork] = set()

    async def start(self) -> None:
        """Start the interpreter, if it is not. Raises SandboxError when that is impossible."""
        async with self._busy:
            if self._process is None:
                self._process = await self._start()

    async def run(self, code: str) -> str:
        """Run a snippet in place and return what it wrote, with the value of a last expression. Forks made before are
        stale after it.

        Raises StateLostError when the snippet has ended the interpreter, or had to be ended; cancelling the call ends
        it, too. An error that the snippet raises is part of what it wrote. Raises SandboxError when no interpreter can
        be started.
        """
        async with self._busy:
            if self._process is None:
                self._process = await self._start()
            elif self._has_ended(self._process):
                await self._lose()
                raise StateLostError(
                    f"The interpreter ended after its last snippet. {_LOST} This snippet has not been run."
                )
            self.version += 1
            process, is_over = self._process, False
            try:
                wrote = await self.run_in(process, code)
                is_over = True
                return wrote
            except (SnippetTimeoutError, ProcessEndedError) as error:
                raise StateLostError(f"{self._reason(error)} {_LOST}{_output_of(error)}") from error
            finally:
                if not is_over:
                    await self._lose()

    async def fork(self) -> "InterpreterFork":
        """Return a fork of the state at this moment. Raises ForkError when it would not be the same."""
        async with self._busy:
            if len(self._forks) == _NUM_MAX_FORKS:
                raise ForkError(f"The interpreter has {_NUM_MAX_FORKS} forks; it must have no more. Discard one.")
            if self._process is None:
                try:
                    self._process = await self._start()
                except SandboxError as error:
                    raise ForkError(str(error)) from error
            elif self._has_ended(self._process):
                raise ForkError("The interpreter has ended.")
            fork = InterpreterFork(self, await self._process.fork(), self.version)
            self._forks.add(fork)
            return fork

    async def run_in(self, process: PythonProcess, code: str) -> str:
        return await process.run(code, timeout_s=self._snippet_timeout_s, max_output_bytes=self._max_output_bytes)

    async def commit(self, fork: "InterpreterFork") -> bool:
        async with self._busy:
            if fork not in self._forks or fork.version != self.version:
                raise StaleForkError(
                    f"The fork is of version {fork.version}, the interpreter has version {self.version}: run the "
                    "snippet anew."
                )
            if fork.process.has_ended:
                raise ForkError("The fork's process has ended since its snippet did: run the snippet anew.")
            assert self._process is not None, "it was forked, and its version is that of then"
            self._forks.remove(fork)
            self._process.kill()
            self._process = fork.process
            self.version += 1
            return True

    def discard(self, fork: "InterpreterFork") -> None:
        if fork in self._forks:
            self._forks.remove(fork)
            fork.process.kill()

    async def aclose(self) -> None:
        """End every process, those of the forks included, and wait for it."""
        await self._lose()

    def _has_ended(self, process: PythonProcess) -> bool:
        """Whether the interpreter has come to its end between two snippets: by a thread of a snippet, or at a limit."""
        return process.has_ended or self._dialogue is None or self._dialogue.stopped_by is not None

    async def _start(self) -> PythonProcess:
        try:
            return await self._open()
        except BaseException:
            await self._lose()
            raise

    async def _open(self) -> PythonProcess:
        command = ["python", "-P", "-s", "-c", _PROGRAM.read_text(encoding="utf-8"), interpreter_filter_program().hex()]
        opening = open_dialogue(self._sandbox, command, ReadOnly(folder=self._folder), relieve=self._discard_all)
        self._dialogue = await self._stack.enter_async_context(opening)
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                greeting = await asyncio.get_running_loop().sock_recv(self._dialogue.channel, 2)
        except (OSError, TimeoutError):
            greeting = b""
        if greeting != b"up":
            raise SandboxError(f"The interpreter could not be started: {(await self._dialogue.end()).strip()}")
        try:
            return await PythonProcess(self._dialogue.channel, None).fork()
        except ForkError as error:
            raise SandboxError(f"The interpreter could not be started: {error}") from error

    def _discard_all(self) -> bool:
        """End what is not the state, and return whether there was anything."""
        forks = list(self._forks)
        for fork in forks:
            self.discard(fork)
        return bool(forks)

    async def _lose(self) -> None:
        self._discard_all()
        if self._process is not None:
            self._process.kill()
            self._process = None
            self.version += 1
        self._dialogue = None
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()

    def _reason(self, error: SnippetTimeoutError | ProcessEndedError) -> str:
        if isinstance(error, SnippetTimeoutError):
            return f"The snippet did not end within {self._snippet_timeout_s:g} s and was stopped."
        if self._dialogue is not None and self._dialogue.stopped_by is not None:
            return f"The snippet was stopped: it exceeded its limit of {self._dialogue.stopped_by}."
        return "The snippet has ended the interpreter."


class InterpreterFork:
    """A state of the interpreter for one snippet to run on, as precall.tools.Fork has it."""

    def __init__(self, interpreter: Interpreter, process: PythonProcess, version: int) -> None:
        """Use Interpreter.fork."""
        self._interpreter = interpreter
        self.process = process
        self.version = version

    async def run(self, code: str) -> str:
        """Run the snippet, as Interpreter.run does in place. Raises LimitError when it does not end by itself in time,
        so that it is run in place; cancelling the call ends the fork."""
        is_over = False
        try:
            wrote = await self._interpreter.run_in(self.process, code)
            is_over = True
            return wrote
        except (SnippetTimeoutError, ProcessEndedError) as error:
            raise LimitError(f"The snippet did not end in its fork: {error}.") from error
        finally:
            if not is_over:
                await self.discard()

    @property
    def function(self) -> Callable[..., Any]:
        return self.run

    async def commit(self) -> bool:
        """Make the fork's process the interpreter, at once, and end the one that was it. Returns True: whether a
        snippet has changed anything cannot be seen.

        Raises StaleForkError when the interpreter has changed since the fork was made.
        """
        return await self._interpreter.commit(self)

    async def discard(self) -> None:
        """End the fork's process, unless it is the interpreter now."""
        self._interpreter.discard(self)


_LOST = "A new interpreter takes its place: all variables and imports are lost."


def _output_of(error: SnippetTimeoutError | ProcessEndedError) -> str:
    written = error.output if isinstance(error, SnippetTimeoutError) else ""
    return f" The snippet wrote until then:\n{written}" if written else ""
