"""One process that runs snippets, as this side sees it. What it says is not trusted: a snippet could say it, too."""

import asyncio
import contextlib
import os
import secrets
import select
import signal
import socket
from collections.abc import AsyncIterator

from agents.sandbox.output import Kept
from precall.errors import ForkError

_CHUNK_BYTES = 65_536
_FORK_TIMEOUT_S = 20.0


class ProcessEndedError(RuntimeError):
    """The process ended before its snippet did."""


class SnippetTimeoutError(RuntimeError):
    """A snippet did not end in time; it still runs. `output` is what it has written so far."""

    def __init__(self, output: str) -> None:
        super().__init__("the snippet did not end in time")
        self.output = output


class PythonProcess:
    """A process of inside.py. One thing is asked of it at a time. `descriptor` is a pidfd, None for the first process,
    which ends with its sandbox."""

    def __init__(self, control: socket.socket, descriptor: int | None) -> None:
        self._control = control
        self._descriptor = descriptor

    async def run(self, code: str, *, timeout_s: float, max_output_bytes: int) -> str:
        """Run a snippet and return what it wrote to stdout and stderr, a traceback included.

        Raises SnippetTimeoutError and ProcessEndedError; then, or when the call is cancelled, the process is good for
        nothing more.
        """
        token = secrets.token_hex(16).encode()
        read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        capture = _Capture(read_end, max_output_bytes)
        try:
            os.set_blocking(write_end, True)
            async with self._ordered(b"R", write_end) as conversation:
                os.close(write_end)
                write_end = -1
                async with asyncio.timeout(timeout_s):
                    loop = asyncio.get_running_loop()
                    await loop.sock_sendall(conversation, token + b"\n" + code.encode(errors="replace"))
                    conversation.shutdown(socket.SHUT_WR)
                    await _await_token(conversation, token)
            return capture.finish()
        except TimeoutError as error:
            raise SnippetTimeoutError(capture.finish()) from error
        except OSError as error:
            raise ProcessEndedError("the interpreter's process has ended") from error
        finally:
            capture.close()
            if write_end >= 0:
                os.close(write_end)

    async def fork(self) -> "PythonProcess":
        """Return a fork of the process. Raises ForkError when it has what a fork would lose, or has ended."""
        control, control_inside = socket.socketpair()
        control.setblocking(False)
        try:
            with control_inside:
                async with (
                    self._ordered(b"F", control_inside.fileno()) as conversation,
                    asyncio.timeout(_FORK_TIMEOUT_S),
                ):
                    answer, descriptor = await _answer(conversation)
        except OSError as error:
            control.close()
            raise ForkError(f"The interpreter does not answer: {type(error).__name__}: {error}") from error
        except BaseException:
            control.close()
            raise
        if descriptor is None:
            control.close()
            raise ForkError(answer or "The interpreter has ended.")
        return PythonProcess(control, descriptor)

    @contextlib.asynccontextmanager
    async def _ordered(self, order: bytes, descriptor: int) -> AsyncIterator[socket.socket]:
        """Send an order with the other end of a new conversation and `descriptor`; yield this end."""
        conversation, inside = socket.socketpair()
        with conversation:
            with inside:
                conversation.setblocking(False)
                socket.send_fds(self._control, [order], [inside.fileno(), descriptor])
            yield conversation

    @property
    def has_ended(self) -> bool:
        """Whether the process is known to have ended."""
        if self._descriptor is None:
            return False
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(0))

    def kill(self) -> None:
        """End the process, whatever it does, and let it go."""
        self._control.close()
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)
            os.close(self._descriptor)
            self._descriptor = None


class _Capture:
    """Reads a pipe behind the caller, so that the writer never waits, and keeps the first and last part."""

    def __init__(self, descriptor: int, max_bytes: int) -> None:
        self._descriptor = descriptor
        self._kept = Kept(max_bytes)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(descriptor, self._read)
        self._is_open = True

    def finish(self) -> str:
        """Return the output. All that was written before the call is in it, however many still hold the other end."""
        num_left = 16  # a pipe holds 1 MiB at most, 16 chunks: what comes after that was written after the call
        while self._is_open and num_left and self._read():
            num_left -= 1
        self.close()
        return self._kept.text()

    def _read(self) -> bool:
        try:
            chunk = os.read(self._descriptor, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        self._kept.add(chunk)
        if not chunk:
            self.close()
        return bool(chunk)

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)


async def _await_token(conversation: socket.socket, token: bytes) -> None:
    """Return when `token` is said. What else is said, and when it is not the end, was written by a snippet."""
    loop, seen = asyncio.get_running_loop(), b""
    while token not in seen:
        chunk = await loop.sock_recv(conversation, _CHUNK_BYTES)
        if not chunk:
            raise ProcessEndedError("the interpreter's process has ended")
        seen = seen[-len(token) :] + chunk


async def _answer(conversation: socket.socket) -> tuple[str, int | None]:
    """Return what is said, and the descriptor that comes with it."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            said, descriptors, _, _ = socket.recv_fds(conversation, _CHUNK_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            is_readable = asyncio.Event()
            loop.add_reader(conversation, is_readable.set)
            try:
                await is_readable.wait()
            finally:
                loop.remove_reader(conversation)
            continue
        return said.decode(errors="replace"), next(iter(descriptors), None)
