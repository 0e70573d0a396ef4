"""One streaming chat client, for targets and drafts, over any OpenAI-compatible chat-completions endpoint."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from precall.errors import BackendError, ConfigError
from precall.events import now_s
from precall.stream import Generation, GenerationBuilder
from precall.tools import Tool

Messages = Sequence[Mapping[str, Any]]

KEEP_ALIVE_S = 2.0
"""How long an idle connection is used again. Servers of vLLM close one after 5 s, httpx's own limit as well: a request
sent at that moment fails, and is not repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a model samples its answer. `max_tokens` bounds one generation."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 1024
    seed: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature <= 2.0:
            raise ConfigError(f"temperature is {self.temperature}; it must be in [0, 2]. 0 is greedy.")
        if not 0.0 < self.top_p <= 1.0:
            raise ConfigError(f"top_p is {self.top_p}; it must be in (0, 1]. 1 switches it off.")
        if self.max_tokens < 1:
            raise ConfigError(f"max_tokens is {self.max_tokens}; it must be at least 1.")

    def to_openai(self) -> dict[str, Any]:
        body = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_tokens}
        return body if self.seed is None else body | {"seed": self.seed}


class ChatClient:
    """Sends chat requests to one model behind one endpoint, and streams the answers."""

    def __init__(self, *, base_url: str, model: str, api_key: str = "EMPTY", request_timeout_s: float = 600.0) -> None:
        # Here, not above: it takes most of a second, which importing precall should not.
        import httpx
        from openai import DEFAULT_CONNECTION_LIMITS, AsyncOpenAI, DefaultAsyncHttpxClient

        limits = httpx.Limits(
            max_connections=DEFAULT_CONNECTION_LIMITS.max_connections,
            max_keepalive_connections=DEFAULT_CONNECTION_LIMITS.max_keepalive_connections,
            keepalive_expiry=KEEP_ALIVE_S,
        )
        self.model = model
        self.base_url = base_url
        self._openai = AsyncOpenAI(
            base_url=base_url,
            api_key=api_key,
            timeout=request_timeout_s,
            max_retries=0,
            http_client=DefaultAsyncHttpxClient(limits=limits),
        )
        # Here, not in the first request: it imports the API's types and holds up the loop for a quarter of a second.
        self._completions = self._openai.chat.completions

    async def generate(
        self,
        messages: Messages,
        tools: Sequence[Tool],
        sampling: Sampling,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> Generation:
        """Send one request and return its generation when the stream has ended.

        `extra_body` entries go into the request's body beside the standard ones. Raises BackendError when the
        endpoint refuses, fails or breaks off.
        """
        builder = GenerationBuilder(sent_s=now_s())
        async with aclosing(self.stream(messages, tools, sampling, extra_body, extra_headers)) as chunks:
            async for chunk in chunks:
                builder.add(chunk, now_s())
        return builder.build(finished_s=now_s())

    async def stream(
        self,
        messages: Messages,
        tools: Sequence[Tool],
        sampling: Sampling,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[Any, None]:
        """Send one request and yield its chunks as they come; `generate` says what is sent and raised."""
        import httpx
        import openai

        request: dict[str, Any] = {"model": self.model, "messages": list(messages), **sampling.to_openai()}
        if tools:
            request["tools"] = [tool.to_openai() for tool in tools]
        is_finished = False
        try:
            stream = await self._completions.create(
                **request,
                stream=True,
                stream_options={"include_usage": True},
                extra_body=dict(extra_body or {}),
                extra_headers=dict(extra_headers or {}),
            )
            async with stream:
                async for chunk in stream:
                    is_finished = is_finished or any(choice.finish_reason for choice in chunk.choices)
                    yield chunk
        except (openai.OpenAIError, httpx.HTTPError, OSError, ValueError) as error:  # ValueError: no JSON, or no UTF-8
            raise BackendError(self._describe(error)) from error
        if not is_finished:
            raise BackendError(f"{self.base_url} ended the stream of {self.model} without a finish_reason.")

    async def post(self, path: str, body: Any, headers: Mapping[str, str], timeout_s: float) -> tuple[int, str]:
        """Post JSON to a path below the server's root and return the answer's status and text.

        Raises BackendError when there is no answer.
        """
        import httpx
        import openai

        url = f"{self.base_url.rstrip('/').removesuffix('/v1')}{path}"
        options: Any = {"headers": dict(headers), "timeout": timeout_s}
        try:
            answer = await self._openai.post(url, cast_to=httpx.Response, body=body, options=options)
        except openai.APIStatusError as error:
            return error.status_code, error.message
        except (openai.OpenAIError, httpx.HTTPError, OSError, ValueError) as error:
            raise BackendError(self._describe(error)) from error
        return answer.status_code, answer.text

    def _describe(self, error: BaseException) -> str:
        reason = str(error) or type(error).__name__
        if error.__cause__ is not None:
            reason = f"{reason} ({error.__cause__})"
        return f"The request to {self.model} at {self.base_url} failed: {reason}"

    async def aclose(self) -> None:
        """Close the connections; requests in flight are broken off."""
        await asyncio.shield(self._openai.close())


class ChatTarget:
    """A target behind an ordinary endpoint: every response holds one turn."""

    def __init__(
        self,
        client: ChatClient,
        sampling: Sampling,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        self._client = client
        self._sampling = sampling
        self._extra_body = extra_body

    async def turns(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Generation, None]:
        yield await self._client.generate(messages, tools, self._sampling, self._extra_body)
