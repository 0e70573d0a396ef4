"""The chat handler with the tool cache around it: registers the response of a request that opts in, and drops it.

A request that does not opt in goes to the stock handler untouched.
"""

import functools
import weakref
from collections.abc import AsyncGenerator, Callable
from typing import Any

from precall.engine import compat
from precall.engine.owners import check_opt_in, has_opted_in, owner_of
from precall.engine.store import LiveResponse, ToolCache
from precall.errors import ToolCacheError

_MARK = "_precall_tool_cache"


def install(handler: Any, cache: ToolCache, is_single_user: bool) -> None:
    """Have `handler`, vLLM's OpenAIServingChat, register in `cache` the responses to requests that opt in."""
    assert not hasattr(handler, _MARK), "the chat handler has the tool cache already"
    setattr(handler, _MARK, cache)
    stock = handler.create_chat_completion

    @functools.wraps(stock)
    async def create_chat_completion(request: Any, raw_request: Any = None) -> Any:
        headers = {} if raw_request is None else raw_request.headers
        if not has_opted_in(request.model_extra, headers):
            return await stock(request, raw_request)
        try:
            owner = owner_of(headers)
            check_opt_in(request.model_extra, owner, is_single_user)
            response = cache.open(compat.response_id_of(handler, request, raw_request), owner, _schemas_of(request))
        except ToolCacheError as error:
            return compat.error_response(error.status, str(error))
        return await _answer(lambda: stock(request, raw_request), cache, response)

    handler.create_chat_completion = create_chat_completion


async def _answer(stock: Callable[[], Any], cache: ToolCache, response: LiveResponse) -> Any:
    answer: Any = None
    try:
        answer = await stock()
        return _until_end(answer, cache, response) if isinstance(answer, AsyncGenerator) else answer
    finally:
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
    # A stream whose client has left before its first event is dropped without having run.
    weakref.finalize(answer, cache.close, response)
    return answer


def _schemas_of(request: Any) -> dict[str, dict[str, Any]]:
    return {tool.function.name: tool.function.parameters or {} for tool in request.tools or ()}
