"""A command's output, read to its end and kept up to a limit."""

import asyncio
from collections import deque

_CHUNK_BYTES = 65_536


class Kept:
    """What is kept of an output: its first and last `max_bytes` / 2."""

    def __init__(self, max_bytes: int) -> None:
        self._half = max(max_bytes // 2, 1)
        self._head = bytearray()
        self._tail = deque[bytes]()
        self._num_tail = 0
        self._num_cut = 0

    def add(self, chunk: bytes) -> None:
        room = self._half - len(self._head)
        self._head += chunk[:room]
        if rest := chunk[room:]:
            self._tail.append(rest)
            self._num_tail += len(rest)
        while self._tail and self._num_tail - len(self._tail[0]) >= self._half:
            dropped = self._tail.popleft()
            self._num_tail -= len(dropped)
            self._num_cut += len(dropped)

    def text(self) -> str:
        """Return what is kept, with a note of how much is missing."""
        last = b"".join(self._tail)
        num_cut = self._num_cut + max(len(last) - self._half, 0)
        last = last[-self._half :]
        if not num_cut:
            return (bytes(self._head) + last).decode(errors="replace")
        return f"{self._head.decode(errors='replace')}\n[{num_cut} bytes cut]\n{last.decode(errors='replace')}"


async def read_cut(stream: asyncio.StreamReader, max_bytes: int) -> str:
    """Read `stream` to its end and return what is kept of it."""
    kept = Kept(max_bytes)
    while chunk := await stream.read(_CHUNK_BYTES):
        kept.add(chunk)
    return kept.text()
