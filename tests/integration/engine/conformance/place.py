"""A server as the conformance tests use it: posts, chats with forced turns, and what the engine holds."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tokenizers import Tokenizer

from harness.backends.vllm_server import VllmServer
from precall.wire import REQUEST_ID_HEADER, SECRET_HEADER, post_path

KEY = "the key"
SECRET = "a secret of the first caller"
OTHER_SECRET = "a secret of somebody else"
MAX_TOKENS = 200
PARAMETERS = {"type": "object", "properties": {"x": {"type": "number"}}}
TOOLS = [{"type": "function", "function": {"name": name, "description": "", "parameters": PARAMETERS}} for name in "fg"]
ENTRY = {"name": "f", "params": {"x": 1}, "output": "one"}
QUESTION = [{"role": "user", "content": "go"}]
_numbers = itertools.count()


def call_text(name: str = "f", **arguments: Any) -> str:
    """A call as a hermes model writes it."""
    return f'<tool_call>\n{{"name": "{name}", "arguments": {json.dumps(arguments)}}}\n</tool_call>'


CALL = call_text(x=1)


def new_id() -> str:
    """A request id that no test has used."""
    return f"conformance-{next(_numbers)}"


@dataclass(slots=True, kw_only=True)
class Reply:
    """What a client got: the last turn, usage and executed turns; `events` of a stream, `body` of a whole response."""

    content: str = ""
    reasoning: str = ""
    calls: list[dict[str, str]] = field(default_factory=list)
    finish_reason: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    token_ids: list[int] = field(default_factory=list)
    executed: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The tools that the client is asked to run."""
        return [call["name"] for call in self.calls]

    def add(self, event: dict[str, Any]) -> None:
        """Take in an event of a stream; one with several choices adds to all as if they were one."""
        self.events.append(event)
        self.executed += event.get("precall", {}).get("executed_turns", [])
        self.usage = event.get("usage") or self.usage
        for choice in event["choices"]:
            delta = choice["delta"]
            self.content += delta.get("content") or ""
            self.reasoning += delta.get("reasoning") or ""
            self.finish_reason = choice["finish_reason"] or self.finish_reason
            self.token_ids += choice.get("token_ids") or []
            for part in delta.get("tool_calls") or []:
                if part["index"] == len(self.calls):
                    self.calls.append({"name": "", "arguments": ""})
                for key in ("name", "arguments"):
                    self.calls[part["index"]][key] += part["function"].get(key) or ""


def whole_reply(body: dict[str, Any]) -> Reply:
    """Return a whole response as a reply."""
    choice = body["choices"][0]
    message = choice["message"]
    return Reply(
        content=message.get("content") or "",
        reasoning=message.get("reasoning") or "",
        calls=[call["function"] for call in message.get("tool_calls") or []],
        finish_reason=choice["finish_reason"],
        usage=body["usage"],
        token_ids=choice.get("token_ids") or [],
        executed=body.get("precall", {}).get("executed_turns", []),
        body=body,
    )


def streamed_reply(text: str) -> Reply:
    """Return a whole stream as a reply."""
    assert text.endswith("data: [DONE]\n\n"), text[-500:]
    reply = Reply()
    for line in text.split("\n\n"):
        if line.startswith("data: {"):
            reply.add(json.loads(line.removeprefix("data: ")))
    return reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    root: str
    client: httpx.AsyncClient
    tokenizer: Tokenizer
    key: str | None

    @classmethod
    @asynccontextmanager
    async def at(cls, server: VllmServer, key: str | None) -> AsyncIterator["Place"]:
        tokenizer = Tokenizer.from_file(str(Path(server.settings.model) / "tokenizer.json"))
        async with httpx.AsyncClient(
            timeout=60, limits=httpx.Limits(max_connections=None, max_keepalive_connections=0)
        ) as client:
            yield cls(root=server.base_url.removesuffix("/v1"), client=client, tokenizer=tokenizer, key=key)

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def headers(self, request_id: str | None = None, secret: str | None = None) -> dict[str, str]:
        named = {
            REQUEST_ID_HEADER: request_id,
            SECRET_HEADER: secret,
            "Authorization": self.key and f"Bearer {self.key}",
        }
        return {name: value for name, value in named.items() if value is not None}

    async def post(self, request_id: str, body: Any, *, secret: str | None = SECRET, **headers: str) -> httpx.Response:
        """Post entries, or a body of bytes, for the response to the request `request_id`."""
        url = self.root + post_path(f"chatcmpl-{request_id}")
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.client.post(url, content=content, headers=self.headers(secret=secret) | headers)

    def body(self, turns: Sequence[str | None], *, opt_in: bool = True, **body: Any) -> dict[str, Any]:
        """Return a chat request whose turns generate `turns` and end; None: the model generates freely."""
        xargs = [{"replay_token_ids": [] if text is None else self.encode(f"{text}<|im_end|>")} for text in turns]
        sent: dict[str, Any] = {"model": "m", "messages": QUESTION, "tools": TOOLS, "max_tokens": MAX_TOKENS}
        sent |= {"return_token_ids": True, "temperature": 0}
        sent |= {"precall": {"turn_xargs": xargs}} if opt_in else {"vllm_xargs": xargs[0] if xargs else {}}
        precall = sent.get("precall", {}) | body.pop("precall", {})
        sent |= ({"precall": precall} if precall else {}) | body
        if sent.get("stream") and "stream_options" not in sent:
            sent["stream_options"] = {"include_usage": True}
        return {name: value for name, value in sent.items() if value is not None}

    async def chat_raw(
        self, turns: Sequence[str | None], *, request_id: str | None = None, secret: str | None = SECRET, **body: Any
    ) -> httpx.Response:
        sent = self.body(turns, **body)
        headers = self.headers(request_id, secret)
        return await self.client.post(f"{self.root}/v1/chat/completions", json=sent, headers=headers)

    async def chat(self, turns: Sequence[str | None], **options: Any) -> Reply:
        answer = await self.chat_raw(turns, **options)
        assert answer.status_code == 200, answer.text
        return streamed_reply(answer.text) if options.get("stream") else whole_reply(answer.json())

    @asynccontextmanager
    async def streaming(
        self, turns: Sequence[str | None], *, request_id: str, secret: str | None = SECRET, **body: Any
    ) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """Give the events of a stream; leaving the block hangs up."""
        sent = self.body(turns, stream=True, **body)
        url, headers = f"{self.root}/v1/chat/completions", self.headers(request_id, secret)
        async with self.client.stream("POST", url, json=sent, headers=headers) as stream:
            assert stream.status_code == 200, await stream.aread()

            async def events() -> AsyncIterator[dict[str, Any]]:
                async for line in stream.aiter_lines():
                    if line.startswith("data: {"):
                        yield json.loads(line.removeprefix("data: "))

            yield events()

    @asynccontextmanager
    async def living(self, request_id: str, secret: str | None = SECRET, **body: Any) -> AsyncIterator[None]:
        """Keep a response alive inside the block: it generates words for several seconds."""
        words = {"max_tokens": 800, "ignore_eos": True, "tools": None}
        async with self.streaming([None], request_id=request_id, secret=secret, **words | body) as events:
            await anext(events)
            yield

    async def complete(self, context: list[int], **body: Any) -> list[int]:
        """Return what a separate request with this context generates."""
        sent = {"model": "m", "prompt": context, "temperature": 0, "return_token_ids": True} | body
        answer = await self.client.post(f"{self.root}/v1/completions", json=sent, headers=self.headers())
        assert answer.status_code == 200, answer.text
        return answer.json()["choices"][0]["token_ids"]

    async def prompt(self, messages: list[dict[str, Any]]) -> list[int]:
        """Return the tokens of a chat's prompt."""
        sent = {"model": "m", "messages": messages, "tools": TOOLS}
        return (await self.client.post(f"{self.root}/tokenize", json=sent, headers=self.headers())).json()["tokens"]

    async def metric(self, name: str) -> float:
        lines = (await self.client.get(f"{self.root}/metrics")).text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))

    async def check_idle(self) -> None:
        """The engine holds no request and no block, a moment after the last client has gone."""
        names = ("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc")
        held: list[float] = []
        for _ in range(100):
            held = [await self.metric(name) for name in names]
            if not any(held):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"after 5 s the engine holds {dict(zip(names, held, strict=True))}")


def check_error(answer: httpx.Response, status: int) -> None:
    """The answer is an error in vLLM's shape."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["code"] == status
    assert error["message"] and error["type"].endswith("Error"), error
