"""The chat handler with the engine side around it: it registers responses, makes them resident and tells what happened.

A request that does not opt in goes to the stock handler untouched, and from there to the stock engine client.
"""

import asyncio
import functools
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from precall.engine import compat
from precall.engine.owners import check_opt_in, has_opted_in, owner_of
from precall.engine.resident import ResidentRequest
from precall.engine.session import EngineCall
from precall.engine.show import Shown, shown_response, shown_stream
from precall.engine.store import LiveResponse, ToolCache
from precall.errors import ToolCacheError
from precall.wire import ExecutedTurn, ResponseOptions

_MARK = "_precall_tool_cache"
_current: ContextVar["_Current | None"] = ContextVar("precall_request", default=None)

MakeResident = Callable[[Any, LiveResponse, ResponseOptions, Callable[[ExecutedTurn], None]], ResidentRequest | None]
"""(chat request, response, options, what to do with an executed turn) -> how to be resident, or None: ordinary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Current:
    """What the engine client must know of the request that is being served. `draft_key` None: nothing is drafted."""

    resident: ResidentRequest | None
    draft_key: str | None


class ResidentClient:
    """The engine client as the chat handler sees it: the stock one, but for generations that may be resident."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def generate(self, prompt: Any, sampling_params: Any, request_id: str, **options: Any) -> AsyncGenerator[Any, None]:
        current = _current.get()
        if current is not None and current.draft_key is not None:
            sampling_params = compat.with_draft_key(sampling_params, current.draft_key)
        if current is None or current.resident is None:
            return self._client.generate(prompt, sampling_params, request_id, **options)
        call = EngineCall(
            client=self._client, prompt=prompt, params=sampling_params, request_id=request_id, options=options
        )
        return current.resident.generate(call)


def install(handler: Any, cache: ToolCache, is_single_user: bool, make_resident: MakeResident) -> None:
    """Have `handler`, vLLM's OpenAIServingChat, serve requests that opt in through `cache`."""
    assert not hasattr(handler, _MARK), "the chat handler has the tool cache already"
    setattr(handler, _MARK, cache)
    handler.engine_client = ResidentClient(handler.engine_client)
    stock = handler.create_chat_completion

    @functools.wraps(stock)
    async def create_chat_completion(request: Any, raw_request: Any = None) -> Any:
        headers = {} if raw_request is None else raw_request.headers
        if not has_opted_in(request.model_extra, headers):
            return await stock(request, raw_request)
        try:
            owner = owner_of(headers)
            options = check_opt_in(request.model_extra, owner, is_single_user)
            response = cache.open(compat.response_id_of(handler, request, raw_request), owner, _schemas_of(request))
        except ToolCacheError as error:
            return compat.error_response(error.status, str(error))

        def show() -> Shown:
            shown = Shown(response.response_id, compat.model_name(handler, request))
            shown.resident = make_resident(request, response, options, shown.add)
            return shown

        return await _answer(functools.partial(stock, request, raw_request), cache, response, show)

    handler.create_chat_completion = create_chat_completion


async def _answer(
    stock: Callable[[], Awaitable[Any]], cache: ToolCache, response: LiveResponse, show: Callable[[], Shown]
) -> Any:
    answer: Any = None
    token = None
    try:
        shown = show()
        draft_key = response.draft_key if cache.has_listener else None
        token = _current.set(_Current(resident=shown.resident, draft_key=draft_key))
        answer = await stock()
        if isinstance(answer, AsyncGenerator):
            return _until_end(shown_stream(answer, shown), cache, response)
        return shown_response(answer, shown) if compat.is_chat_response(answer) else answer
    finally:
        if token is not None:
            _current.reset(token)
        if not isinstance(answer, AsyncGenerator):
            cache.close(response)


def _until_end(
    stream: AsyncGenerator[str, None], cache: ToolCache, response: LiveResponse
) -> AsyncGenerator[str, None]:
    async def events() -> AsyncGenerator[str, None]:
        try:
            async for event in stream:
                yield event
        finally:
            cache.close(response)
            await stream.aclose()

    answer = events()
    # A stream whose client has left before its first event is dropped without having run, perhaps by another thread.
    dropped = weakref.finalize(answer, _close_soon, asyncio.get_running_loop(), cache, response)
    dropped.atexit = False
    return answer


def _close_soon(loop: asyncio.AbstractEventLoop, cache: ToolCache, response: LiveResponse) -> None:
    with suppress(RuntimeError):  # the loop has closed, and the server with it
        loop.call_soon_threadsafe(cache.close, response)


def _schemas_of(request: Any) -> dict[str, dict[str, Any]]:
    return {tool.function.name: tool.function.parameters or {} for tool in request.tools or ()}
