"""The processes of one sandboxed command, from their start to the end of the last of them."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator

from agents.sandbox.launch import HOST_ENVIRONMENT, Launch

SETUP_TIMEOUT_S = 20.0


class Processes:
    """The isolating program (`outer`), and through it everything inside."""

    def __init__(self, outer: asyncio.subprocess.Process, go: int | None) -> None:
        self.outer = outer
        self.init: int | None = None
        self._init_descriptor: int | None = None
        self._status: asyncio.StreamReader | None = None
        self._status_transport: asyncio.ReadTransport | None = None
        self._go = go
        self._exit_code: int | None = None

    async def follow(self, status: int) -> None:
        """Read bubblewrap's documents from this descriptor, which is closed with the rest."""
        reader = asyncio.StreamReader()
        self._status = reader
        pipe = os.fdopen(status, "rb", buffering=0)
        self._status_transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )

    @property
    def outputs(self) -> tuple[asyncio.StreamReader, asyncio.StreamReader]:
        """The command's stdout and stderr."""
        assert self.outer.stdout is not None and self.outer.stderr is not None, "both were asked for as pipes"
        return self.outer.stdout, self.outer.stderr

    async def begin(self) -> None:
        """Learn the sandbox's first process, with which all others end, and let the command begin."""
        if self._status is None or self._go is None:
            return
        async with asyncio.timeout(SETUP_TIMEOUT_S):
            line = await self._status.readline()
        if line:
            init: int = json.loads(line)["child-pid"]
            with contextlib.suppress(ProcessLookupError):  # the set-up has failed meanwhile
                self._init_descriptor = os.pidfd_open(init)
            self.init = init
        with contextlib.suppress(BrokenPipeError):
            os.write(self._go, b"\n")

    def kill(self) -> None:
        """Send SIGKILL to the first process, and so to all inside, and to the isolating program's process group."""
        if self._init_descriptor is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._init_descriptor, signal.SIGKILL)
        if self.outer.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.outer.pid, signal.SIGKILL)

    async def wait(self) -> int | None:
        """Wait until the last process has ended; return the command's exit code, or None when it has not exited."""
        returncode = await self.outer.wait()
        if self._init_descriptor is not None:
            await _readable(self._init_descriptor)  # the kernel ends it only after all others of its namespace
        if self._status is None:
            return returncode
        async for line in self._status:
            self._exit_code = json.loads(line).get("exit-code", self._exit_code)
        return self._exit_code

    def close(self) -> None:
        for descriptor in (self._go, self._init_descriptor):
            if descriptor is not None:
                os.close(descriptor)
        self._go = self._init_descriptor = None
        if self._status_transport is not None:
            self._status_transport.close()


@contextlib.asynccontextmanager
async def start(launch: Launch) -> AsyncIterator[Processes]:
    """Start what `launch` says. However the block is left, every process has been killed and has ended after it."""
    try:
        outer = await asyncio.create_subprocess_exec(
            *launch.arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=HOST_ENVIRONMENT,
            cwd="/",
            pass_fds=launch.descriptors,
            start_new_session=True,
        )
    except BaseException:
        for descriptor in (launch.status, launch.go):
            if descriptor is not None:
                os.close(descriptor)
        raise
    finally:
        for descriptor in launch.descriptors:
            os.close(descriptor)
    processes = Processes(outer, launch.go)
    try:
        if launch.status is not None:
            await processes.follow(launch.status)
        yield processes
    finally:
        processes.kill()
        try:
            await processes.wait()
        finally:
            processes.close()


async def _readable(descriptor: int) -> None:
    loop, is_readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, is_readable.set)
    try:
        await is_readable.wait()
    finally:
        loop.remove_reader(descriptor)
