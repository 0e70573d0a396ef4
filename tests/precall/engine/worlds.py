"""A server of the tool cache in this process: vLLM's chat route and our plugin, around a scripted chat handler."""

import asyncio
from argparse import Namespace
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx
from fastapi import FastAPI
from vllm.entrypoints.openai.chat_completion.api_router import router
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest, ChatCompletionResponse

from precall.engine.endpoint import PrecallEndpoint
from precall.wire import SECRET_HEADER

SECRET = "a secret of the first caller"
OTHER_SECRET = "a secret of another caller"
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"x": {"type": "number"}}}}}


@dataclass(slots=True)
class Clock:
    """A clock that stands still until it is moved."""

    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


class ScriptedChatHandler:
    """Answers once it is released; counts the requests that reached it."""

    def __init__(self) -> None:
        self.engine_client = engine_client()
        self.num_requests = 0
        self.is_released = asyncio.Event()
        self.error: Exception | None = None

    @staticmethod
    def _base_request_id(raw_request, default=None):
        return raw_request.headers.get("X-Request-Id", default)

    async def create_chat_completion(self, request, raw_request=None):
        self.num_requests += 1
        if self.error is not None:
            raise self.error
        if request.stream:
            return self._events()
        await self.is_released.wait()
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return ChatCompletionResponse(model="m", choices=[], usage=usage)

    async def _events(self):
        yield "data: 1\n\n"
        await self.is_released.wait()
        yield "data: [DONE]\n\n"


@dataclass(slots=True, kw_only=True)
class World:
    """The server. `handler` is the stock handler's stand-in, `cache` what the plugin holds."""

    settings: dict[str, Any] = field(default_factory=dict)
    api_keys: list[str] = field(default_factory=list)
    clock: Clock = field(default_factory=Clock)
    handler: ScriptedChatHandler = field(default_factory=ScriptedChatHandler)
    app: FastAPI = field(default_factory=FastAPI)
    requests: list[asyncio.Task[httpx.Response]] = field(default_factory=list)

    async def start(self) -> "World":
        plugin = PrecallEndpoint(clock=self.clock)
        self.app.include_router(router)
        plugin.attach_router(self.app)
        self.app.state.openai_serving_chat = self.handler
        settings = {"residency": False} | self.settings
        args = Namespace(additional_config={"precall": settings}, api_key=self.api_keys, tool_call_parser=None)
        await plugin.init_state(engine_client(), self.app.state, args)
        return self

    @property
    def cache(self):
        return self.app.state.precall_tool_cache.cache

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://server")

    async def post(self, entries, response_id="chatcmpl-1", secret: str | None = SECRET, **headers) -> httpx.Response:
        async with self.client() as client:
            body = {"content": entries} if isinstance(entries, bytes | str) else {"json": entries}
            sent = headers | ({} if secret is None else {SECRET_HEADER: secret})
            return await client.post(f"/cache-tool-output/{response_id}", headers=sent, **body)

    async def chat(self, request_id="1", secret: str | None = SECRET, **body: Any) -> httpx.Response:
        """Send a chat request and wait for the end of its answer."""
        headers = {"X-Request-Id": request_id} | ({} if secret is None else {SECRET_HEADER: secret})
        sent = {"model": "m", "messages": [{"role": "user", "content": "go"}], "tools": [TOOL]} | body
        async with self.client() as client:
            return await client.post("/v1/chat/completions", json=sent, headers=headers)

    async def open(self, request_id="1", secret: str | None = SECRET, **body: Any) -> None:
        """Send a chat request and return when it has reached the stock handler; `end` lets it end."""
        num_before = self.handler.num_requests
        self.requests.append(asyncio.create_task(self.chat(request_id, secret, **body)))
        async with asyncio.timeout(5):
            while self.handler.num_requests == num_before:  # noqa: ASYNC110 - the handler has nothing to await
                await asyncio.sleep(0.001)

    async def end(self) -> list[httpx.Response]:
        """Let all chat requests end and return their answers."""
        self.handler.is_released.set()
        return await asyncio.gather(*self.requests)


def engine_client(num_processes: int = 1, num_replicas: int = 1) -> Any:
    """A stand-in for AsyncLLM with what the plugin reads at its start."""
    parallel = SimpleNamespace(data_parallel_size=num_replicas, worker_extension_cls="")
    vllm_config = SimpleNamespace(parallel_config=parallel, speculative_config=None)
    return SimpleNamespace(_client_count=num_processes, vllm_config=vllm_config)


def chat_request(**body: Any) -> ChatCompletionRequest:
    return ChatCompletionRequest(messages=[{"role": "user", "content": "go"}], **body)
