"""A command's output, read to its end and kept up to a limit."""

import asyncio
from collections import deque

_CHUNK_BYTES = 65_536


async def read_cut(stream: asyncio.StreamReader, max_bytes: int) -> str:
    """Read `stream` to its end and return its first and last `max_bytes` / 2, with a note of how much is missing."""
    half = max(max_bytes // 2, 1)
    head, tail, num_tail, num_cut = bytearray(), deque[bytes](), 0, 0
    while chunk := await stream.read(_CHUNK_BYTES):
        room = half - len(head)
        head += chunk[:room]
        if rest := chunk[room:]:
            tail.append(rest)
            num_tail += len(rest)
        while tail and num_tail - len(tail[0]) >= half:
            dropped = tail.popleft()
            num_tail -= len(dropped)
            num_cut += len(dropped)
    last = b"".join(tail)
    num_cut += max(len(last) - half, 0)
    last = last[-half:]
    if not num_cut:
        return (bytes(head) + last).decode(errors="replace")
    return f"{head.decode(errors='replace')}\n[{num_cut} bytes cut]\n{last.decode(errors='replace')}"
