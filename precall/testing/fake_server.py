"""A chat-completions server on 127.0.0.1 that streams scripted answers, in the form in which vLLM streams them, and
takes posts to the tool cache."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from precall.calls import ToolCall
from precall.wire import OPTIONS_FIELD, REQUEST_ID_HEADER, RESPONSE_ID_PREFIX, ExecutedTurn, post_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One response: HTTP status and headers, then `events`, each the data of one server-sent event.

    `delay_s` passes before the first event and before each that follows (real seconds). No event is sent before
    `num_posts` posts have come for the response. `is_broken_off` closes the connection after the last event, in the
    middle of the body. Without `is_streamed`, or with a status other than 200, `events[0]` is sent as the body.
    """

    events: tuple[str, ...] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    num_posts: int = 0
    is_broken_off: bool = False
    is_streamed: bool = True


def chunk(
    delta: dict[str, Any] | None = None, *, finish_reason: str | None = None, index: int = 0, **extra: Any
) -> str:
    """Return the data of one chunk, of the choice `index`. `token_ids` goes into its choice, other extras into the
    chunk itself."""
    choice: dict[str, Any] = {"index": index, "delta": delta or {}, "finish_reason": finish_reason}
    if "token_ids" in extra:
        choice["token_ids"] = extra.pop("token_ids")
    return json.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice], **extra})


def executed_chunk(*turns: ExecutedTurn) -> str:
    """Return the data of the event that tells of turns which the engine has executed."""
    field = {"executed_turns": [turn.to_json() for turn in turns]}
    return json.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], OPTIONS_FIELD: field})


def usage_chunk(num_prompt_tokens: int, num_output_tokens: int, **details: Any) -> str:
    """Return the data of the last chunk, which has no choice and carries the token counts."""
    usage = {
        "prompt_tokens": num_prompt_tokens,
        "completion_tokens": num_output_tokens,
        "total_tokens": num_prompt_tokens + num_output_tokens,
        **details,
    }
    return json.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": usage})


def call_deltas(index: int, call: ToolCall, num_parts: int = 1) -> list[dict[str, Any]]:
    """Return the deltas of one call: its id and name first, then its arguments in `num_parts` parts."""
    head = {"index": index, "id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": ""}}
    size = -(-len(call.arguments) // num_parts)
    parts = [call.arguments[start : start + size] for start in range(0, len(call.arguments), size or 1)]
    tail = [{"index": index, "function": {"arguments": part}} for part in parts]
    return [{"tool_calls": [part]} for part in (head, *tail)]


def answer_of(*, content: str = "", calls: Sequence[ToolCall] = (), delay_s: float = 0.0) -> Answer:
    """Return a whole answer: role, content, the calls in two parts each, finish reason, usage and the end mark."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": content}] if content else []
    deltas += [delta for index, call in enumerate(calls) for delta in call_deltas(index, call, num_parts=2)]
    events = [chunk(delta) for delta in deltas]
    events.append(chunk(finish_reason="tool_calls" if calls else "stop"))
    return Answer(events=(*events, usage_chunk(10, len(deltas)), "[DONE]"), delay_s=delay_s)


@dataclass(slots=True, kw_only=True)
class FakeChatServer:
    """Gives request i the answer `answers[i]`, or `answers[model][i]` to request i of a model where they are listed by
    model; an asynchronous context manager, `base_url` is valid inside.

    `requests` holds the bodies received, `headers` their headers; `posts` holds paths, headers and entries of what was
    posted to the tool cache, each answered with `post_status`, or with nothing where that is None. `num_broken_off`
    counts clients that left before their answer was complete.
    """

    answers: Sequence[Answer] | Mapping[str, Sequence[Answer]]
    post_status: int | None = 200
    base_url: str = field(default="", init=False)
    requests: list[dict[str, Any]] = field(default_factory=list, init=False)
    headers: list[dict[str, str]] = field(default_factory=list, init=False)
    posts: list[tuple[str, dict[str, str], list[dict[str, Any]]]] = field(default_factory=list, init=False)
    num_broken_off: int = field(default=0, init=False)
    _server: asyncio.Server | None = field(default=None, init=False)
    _connections: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition, init=False)

    async def until(self, is_reached: Callable[[], bool], limit_s: float = 5.0) -> None:
        """Wait until `is_reached()` says so of `requests`, `posts` and `num_broken_off`. Raises TimeoutError after
        `limit_s`."""
        async with asyncio.timeout(limit_s), self._changed:
            await self._changed.wait_for(is_reached)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def __aenter__(self) -> "FakeChatServer":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None, "the server has not been entered"
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a connection is served in a task"
        self._connections.add(task)
        try:
            path, headers, body = await _read_request(reader)
            if not path.endswith("/chat/completions"):
                await self._take_post(writer, path, headers, json.loads(body))
                return
            self.requests.append(json.loads(body))
            self.headers.append(headers)
            answer = self._answer_to_last()
            await self._notify()
            response_id = f"{RESPONSE_ID_PREFIX}{headers.get(REQUEST_ID_HEADER.lower())}"
            sending = asyncio.create_task(self._answer(writer, answer, post_path(response_id)))
            leaving = asyncio.create_task(reader.read())  # returns when the client closes its side
            try:
                await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
                self.num_broken_off += not sending.done()
                await self._notify()
            finally:
                sending.cancel()
                leaving.cancel()
                await asyncio.gather(sending, leaving, return_exceptions=True)
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _answer_to_last(self) -> Answer:
        answers, num_before = self.answers, len(self.requests) - 1
        if isinstance(answers, Mapping):
            model = self.requests[-1]["model"]
            answers = answers.get(model, ())
            num_before = sum(request["model"] == model for request in self.requests) - 1
        return answers[num_before] if num_before < len(answers) else _NO_ANSWER

    async def _answer(self, writer: asyncio.StreamWriter, answer: Answer, path: str) -> None:
        await self.until(lambda: sum(posted == path for posted, _, _ in self.posts) >= answer.num_posts)
        await _send(writer, answer)

    async def _take_post(
        self, writer: asyncio.StreamWriter, path: str, headers: dict[str, str], entries: list[dict[str, Any]]
    ) -> None:
        self.posts.append((path, headers, entries))
        if self.post_status is not None:
            taken = {"cached": len(entries)} if self.post_status == 200 else {"error": {"message": "scripted"}}
            await _send_json(writer, self.post_status, json.dumps(taken))
        await self._notify()


_NO_ANSWER = Answer(status=500, events=(json.dumps({"error": {"message": "the script holds no more answers"}}),))


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    lines = [line.partition(":") for line in head.split("\r\n")[1:] if line]
    headers = {name.strip().lower(): value.strip() for name, _, value in lines}
    return head.split(" ")[1], headers, await reader.readexactly(int(headers.get("content-length", "0")))


async def _send_json(
    writer: asyncio.StreamWriter, status: int, text: str, headers: Mapping[str, str] | None = None
) -> None:
    body = text.encode()
    lines = [f"HTTP/1.1 {status} Scripted", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += ["Connection: close", *_lines(headers or {})]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    await writer.drain()


def _lines(headers: Mapping[str, str]) -> list[str]:
    return [f"{name}: {value}" for name, value in headers.items()]


async def _send(writer: asyncio.StreamWriter, answer: Answer) -> None:
    if answer.status != 200 or not answer.is_streamed:
        await _send_json(writer, answer.status, answer.events[0] if answer.events else "", answer.headers)
        return
    lines = ["HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked", "Connection: close"]
    writer.write("\r\n".join([*lines, *_lines(answer.headers), "", ""]).encode())
    for event in answer.events:
        await asyncio.sleep(answer.delay_s)
        data = f"data: {event}\n\n".encode()
        writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await writer.drain()
    if not answer.is_broken_off:
        writer.write(b"0\r\n\r\n")
        await writer.drain()
