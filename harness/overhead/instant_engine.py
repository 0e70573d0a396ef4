"""`python -m harness.overhead.instant_engine`: a chat-completions server that answers each request with a call.

It answers at once, prints its port first, and ends with its standard input. A process of its own, so that its work is
not the client's; it parses no more of a request than its length and whether it is streamed.
"""

import asyncio
import json
import sys

from precall.calls import ToolCall
from precall.testing.fake_server import answer_of

CALL = ToolCall(name="look_up", arguments='{"key": "a"}', call_id="1")
_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


def _streamed() -> bytes:
    events = [f"data: {event}\n\n".encode() for event in answer_of(calls=[CALL]).events]
    body = b"".join(f"{len(event):x}\r\n".encode() + event + b"\r\n" for event in events) + b"0\r\n\r\n"
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + body


def _whole() -> bytes:
    function = {"name": CALL.name, "arguments": CALL.arguments}
    calls = [{"id": CALL.call_id, "type": "function", "function": function}]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    usage = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    answer = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
    body = json.dumps(answer).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


STREAMED, WHOLE = _streamed(), _whole()


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), "the server listens on a socket"
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, rest = self._received.partition(_END)
        if not end:
            return
        line = next(line for line in head.lower().split(b"\r\n") if line.startswith(_LENGTH))
        length = int(line.removeprefix(_LENGTH))
        if len(rest) < length:
            return
        body, self._received = rest[:length], rest[length:]
        self._transport.write(STREAMED if b'"stream":true' in body.replace(b" ", b"") else WHOLE)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
