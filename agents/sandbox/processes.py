"""The processes of one sandboxed command, from their start to the end of the last of them."""

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import AsyncIterator

from agents.sandbox.launch import HOST_ENVIRONMENT, Launch
from agents.sandbox.results import SandboxError

SETUP_TIMEOUT_S = 20.0


class Processes:
    """The isolating program (`outer`), and through it everything inside."""

    def __init__(self, outer: asyncio.subprocess.Process, gate: socket.socket) -> None:
        self.outer = outer
        self.gate = gate
        self.init: int | None = None
        self._init_descriptor: int | None = None
        self._status: asyncio.StreamReader | None = None
        self._status_transport: asyncio.ReadTransport | None = None

    @property
    def outputs(self) -> tuple[asyncio.StreamReader, asyncio.StreamReader]:
        """The command's stdout and stderr."""
        assert self.outer.stdout is not None and self.outer.stderr is not None, "both were asked for as pipes"
        return self.outer.stdout, self.outer.stderr

    async def follow(self, status: int) -> None:
        """Read bubblewrap's documents from this descriptor, which is closed with the rest."""
        reader = asyncio.StreamReader()
        pipe = os.fdopen(status, "rb", buffering=0)
        self._status_transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        self._status = reader

    async def begin(self) -> bool:
        """Learn the sandbox's first process, with which all others end, let the command begin, and return whether it
        does.

        When the set-up fails it does not, and `wait` returns None. Raises SandboxError when the set-up does not end.
        """
        try:
            async with asyncio.timeout(SETUP_TIMEOUT_S):
                await self._learn_init()
                loop = asyncio.get_running_loop()
                is_ready = bool(await loop.sock_recv(self.gate, len(b"ready\n")))
                if is_ready:
                    await loop.sock_sendall(self.gate, b"go\n")
                return is_ready
        except TimeoutError as error:
            raise SandboxError(
                f"The sandbox was not set up within {SETUP_TIMEOUT_S:g} s. Is the machine overloaded?"
            ) from error

    async def _learn_init(self) -> None:
        line = await self._status.readline() if self._status is not None else b""
        if line:
            init: int = json.loads(line)["child-pid"]
            with contextlib.suppress(ProcessLookupError):  # the set-up has failed meanwhile
                self._init_descriptor = os.pidfd_open(init)
            self.init = init

    def kill(self) -> None:
        """Send SIGKILL to the first process, and so to all inside, and to the isolating program's process group.

        In the set-up the first process is of that group; once it is not, it ends with the isolating program.
        """
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
        exit_code: int | None = None
        async for line in self._status:
            exit_code = json.loads(line).get("exit-code", exit_code)
        return exit_code

    def close(self) -> None:
        self.gate.close()
        if self._init_descriptor is not None:
            os.close(self._init_descriptor)
            self._init_descriptor = None
        if self._status_transport is not None:
            self._status_transport.close()


@contextlib.asynccontextmanager
async def start(launch: Launch) -> AsyncIterator[Processes]:
    """Start what `launch` says. However the block is left, every process has been killed and has ended after it."""
    # Not cancelled half-way: asyncio would kill the isolating program, and not what it has just started.
    starting = asyncio.create_task(_start(launch))
    try:
        processes = await asyncio.shield(starting)
    except asyncio.CancelledError:
        starting.add_done_callback(_kill_started)  # also when we are cancelled once more while we wait
        await _end(await starting)
        raise
    try:
        yield processes
    finally:
        await _end(processes)


async def _start(launch: Launch) -> Processes:
    gate, gate_inside = socket.socketpair()
    gate.setblocking(False)
    try:
        outer = await asyncio.create_subprocess_exec(
            *launch.arguments,
            stdin=gate_inside.fileno(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=HOST_ENVIRONMENT,
            cwd="/",
            pass_fds=launch.descriptors,
            start_new_session=True,
        )
    except BaseException:
        gate.close()
        if launch.status is not None:
            os.close(launch.status)
        raise
    finally:
        gate_inside.close()
        for descriptor in launch.descriptors:
            os.close(descriptor)
    processes = Processes(outer, gate)
    if launch.status is not None:
        await processes.follow(launch.status)
    return processes


def _kill_started(starting: asyncio.Task[Processes]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().kill()


async def _end(processes: Processes) -> None:
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
