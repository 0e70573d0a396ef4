"""One streaming chat client, for targets and drafts, over any OpenAI-compatible chat-completions endpoint."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from precall.cancellation import finish_first
from precall.errors import BackendError, ConfigError
from precall.events import now_s
from precall.rate_limits import Admission, RateLimiter, RateLimits
from precall.retries import RetryPolicy
from precall.stream import Generation, GenerationBuilder, has_token
from precall.tools import Tool
from precall.usage import Usage, UsageMeter, estimated_tokens

if TYPE_CHECKING:
    from openai import AsyncOpenAI, AsyncStream

Messages = Sequence[Mapping[str, Any]]

KEEP_ALIVE_S = 2.0
"""How long an idle connection is used again. Servers of vLLM close one after 5 s, httpx's own limit as well: a request
sent at that moment fails, and is not repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a model samples its answer, under the names of the API; what is None is not sent, and the endpoint decides.

    `max_tokens` bounds one generation; reasoning models of OpenAI's take `max_completion_tokens` in its place, no
    temperature and no top_p, and a `reasoning_effort`. What a model takes is for its user to say.
    """

    temperature: float | None = 0.0
    top_p: float | None = 1.0
    max_tokens: int | None = 1024
    max_completion_tokens: int | None = None
    reasoning_effort: str | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.temperature is not None and not 0.0 <= self.temperature <= 2.0:
            raise ConfigError(f"temperature is {self.temperature}; it must be in [0, 2]. 0 is greedy.")
        if self.top_p is not None and not 0.0 < self.top_p <= 1.0:
            raise ConfigError(f"top_p is {self.top_p}; it must be in (0, 1]. 1 switches it off.")
        for name in ("max_tokens", "max_completion_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}; it must be at least 1.")
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise ConfigError(
                f"max_tokens is {self.max_tokens} and max_completion_tokens is {self.max_completion_tokens}; at most "
                "one may be given. Reasoning models of OpenAI's take the latter: set max_tokens to None for them."
            )

    def to_openai(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}


class ChatClient:
    """Sends chat requests to one model behind one endpoint, and streams the answers.

    A request that fails before its first token is repeated as `retries` says, by default never. It waits here until the
    `limits` of the endpoint have room for it. `usage` adds up what all requests have taken.
    """

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        api_key: str = "EMPTY",
        request_timeout_s: float = 600.0,
        retries: RetryPolicy | None = None,
        limits: RateLimits | None = None,
    ) -> None:
        # Here, not above: it takes most of a second, which importing precall should not.
        import httpx
        from openai import DEFAULT_CONNECTION_LIMITS, AsyncOpenAI, DefaultAsyncHttpxClient

        pool = httpx.Limits(
            max_connections=DEFAULT_CONNECTION_LIMITS.max_connections,
            max_keepalive_connections=DEFAULT_CONNECTION_LIMITS.max_keepalive_connections,
            keepalive_expiry=KEEP_ALIVE_S,
        )
        openai = AsyncOpenAI(
            base_url=base_url,
            api_key=api_key,
            timeout=request_timeout_s,
            max_retries=0,
            http_client=DefaultAsyncHttpxClient(limits=pool),
        )
        self._set(openai, model, retries or RetryPolicy(), limits)
        self.base_url = base_url
        self._is_owner = True

    @classmethod
    def from_openai(cls, openai: "AsyncOpenAI", model: str, *, limits: RateLimits | None = None) -> Self:
        """Return a client for `model` that sends through `openai`, with its address, key, headers, connections,
        time-out and number of retries. It stays the caller's, who closes it."""
        client = cls.__new__(cls)
        client._set(openai.with_options(max_retries=0), model, RetryPolicy(max_retries=openai.max_retries), limits)
        client.base_url = str(openai.base_url)
        client._is_owner = False
        return client

    def _set(self, openai: "AsyncOpenAI", model: str, retries: RetryPolicy, limits: RateLimits | None) -> None:
        self.model = model
        self.usage = UsageMeter()
        self._openai = openai
        # Here, not in the first request: it imports the API's types and holds up the loop for a quarter of a second.
        self._completions = openai.chat.completions
        self._retries = retries
        self._limiter = None if limits is None else RateLimiter(limits)

    async def generate(
        self,
        messages: Messages,
        tools: Sequence[Tool],
        sampling: Sampling | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> Generation:
        """Send one request and return its generation when the stream has ended; its times include what it waited for.

        Without `sampling` the endpoint's own holds. `extra_body` entries go into the request's body beside the standard
        ones. Raises BackendError when the endpoint refuses, fails or breaks off.
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
        sampling: Sampling | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        num_choices: int = 1,
    ) -> AsyncGenerator[Any, None]:
        """Send one request for `num_choices` answers and yield its chunks as they come; `generate` says what is sent
        and raised. Chunks without a token may come again after a retry. BackendError is raised as well for an endpoint
        that finishes fewer choices."""
        request: dict[str, Any] = {"model": self.model, "messages": list(messages)}
        request |= {"n": num_choices} if num_choices > 1 else {}
        request |= {} if sampling is None else sampling.to_openai()
        if tools:
            request["tools"] = [tool.to_openai() for tool in tools]
        request["extra_body"], request["extra_headers"] = dict(extra_body or {}), dict(extra_headers or {})
        num_failed = 0
        while True:
            has_begun = False
            try:
                async with aclosing(self._attempt(request)) as chunks:
                    async for chunk in chunks:
                        has_begun = has_begun or has_token(chunk)
                        yield chunk
                return
            except BackendError as error:
                delay_s = None if has_begun else self._retries.delay_s(num_failed, error.__cause__)
                if delay_s is None:
                    raise
            num_failed += 1
            self.usage.num_retries += 1
            self.usage.waited_s += delay_s
            await asyncio.sleep(delay_s)

    async def _attempt(self, request: dict[str, Any]) -> AsyncGenerator[Any, None]:
        import httpx
        import openai
        from openai import AsyncStream

        admission = await self._admit(request)
        usage, num_tokens, is_refused = Usage(), 0, False
        num_choices, finished = request.get("n", 1), set[int]()
        self.usage.num_requests += 1
        try:
            opening = self._completions.create(**request, stream=True, stream_options={"include_usage": True})
            async with await finish_first(opening, abandon=AsyncStream.close) as stream:
                while True:
                    following = _next_chunk(stream)
                    # After the last finish_reason the stream may end, and give its connection back.
                    chunk = await (finish_first(following) if len(finished) == num_choices else following)
                    if chunk is None:
                        break
                    finished |= {c.index for c in chunk.choices if c.finish_reason and c.index < num_choices}
                    num_tokens += has_token(chunk)
                    usage = usage if chunk.usage is None else Usage.parse(chunk.usage)
                    yield chunk
        except (openai.OpenAIError, httpx.HTTPError, OSError, ValueError) as error:  # ValueError: no JSON, or no UTF-8
            is_refused = isinstance(error, openai.APIStatusError | openai.APIConnectionError)
            is_refused = is_refused and not isinstance(error, openai.APITimeoutError)
            raise BackendError(self._describe(error)) from error
        finally:
            if is_refused:
                self.usage.num_refused += 1
            elif usage.num_tokens is None:
                self.usage.estimate(_num_bytes(request), num_tokens)
            else:
                self.usage.count(usage)
                if admission is not None:
                    admission.num_tokens = usage.num_tokens
        if len(finished) < num_choices:
            raise BackendError(
                f"{self.base_url} ended the stream of {self.model} without a finish_reason for "
                f"{num_choices - len(finished)} of {num_choices} choices. Ask an endpoint that knows no n for 1 only."
            )

    async def _admit(self, request: Mapping[str, Any]) -> Admission | None:
        if self._limiter is None:
            return None
        asked_s = now_s()
        limit = request.get("max_completion_tokens") or request.get("max_tokens")
        bound = limit * request.get("n", 1) if limit else self.usage.mean_output_tokens
        admission = await self._limiter.admit(estimated_tokens(_num_bytes(request)) + bound)
        self.usage.waited_s += now_s() - asked_s
        return admission

    async def post(self, path: str, body: Any, headers: Mapping[str, str], timeout_s: float) -> tuple[int, str]:
        """Post JSON to a path below the server's root and return the answer's status and text.

        Raises BackendError when there is no answer.
        """
        import httpx
        import openai

        url = f"{self.base_url.rstrip('/').removesuffix('/v1')}{path}"
        options: Any = {"headers": dict(headers), "timeout": timeout_s}
        try:
            answer = await finish_first(self._openai.post(url, cast_to=httpx.Response, body=body, options=options))
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
        """Close the connections; requests in flight are broken off. Somebody else's stay as they are."""
        if self._is_owner:
            await asyncio.shield(self._openai.close())


async def _next_chunk(stream: "AsyncStream[Any]") -> Any:
    """Return the next chunk, or None where there is none."""
    return await anext(stream, None)


def _num_bytes(request: Mapping[str, Any]) -> int:
    return len(json.dumps(request, default=str))


class ChatTarget:
    """A target behind an ordinary endpoint: every response holds one turn."""

    def __init__(
        self,
        client: ChatClient,
        sampling: Sampling | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        self._client = client
        self._sampling = sampling
        self._extra_body = extra_body

    async def turns(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Generation, None]:
        yield await self._client.generate(messages, tools, self._sampling, self._extra_body)
