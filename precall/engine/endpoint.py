"""The vLLM endpoint plugin `precall`: the route of the tool cache, and the chat handler's part in it.

Source of the route: the paper's tool cache API. Its answers stand in docs/tool-cache.md.
"""

import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse

from precall.engine import chat, compat
from precall.engine.drafting import Drafting
from precall.engine.metrics import EngineMetrics, engine_metrics, show_state
from precall.engine.owners import owner_of
from precall.engine.residency import Residency
from precall.engine.settings import EngineSettings
from precall.engine.store import ToolCache
from precall.errors import ToolCacheError
from precall.wire import ROUTE, CacheAnswer, parse_post

STATE = "precall_tool_cache"


class PrecallEndpoint:
    """Named by the entry point `precall` of the group vllm.endpoint_plugins; vLLM makes one per server.

    What it cannot serve it refuses in `attach_router` and `init_state`, where an error ends the start: vLLM only logs
    an error of the constructor and goes on without the plugin. `clock` is the tool cache's, in seconds.
    """

    name = "precall"
    required_tasks = ("generate",)

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock

    def attach_router(self, app: FastAPI) -> None:
        compat.check_vllm()
        app.add_api_route(ROUTE, cache_tool_output, methods=["POST"], response_model=None)

    async def init_state(self, engine_client: Any, state: Any, args: Namespace) -> None:
        compat.check_processes(engine_client, state)
        settings = EngineSettings.from_additional_config(args.additional_config)
        handler = state.openai_serving_chat
        drafting = await Drafting.start(handler, engine_client, args.tool_call_parser)
        cache = ToolCache(settings, self._clock, drafting)
        metrics = engine_metrics()
        residency = await Residency.start(
            handler,
            engine_client.vllm_config,
            args.tool_call_parser,
            settings,
            metrics,
            num_draft_tokens=drafting.num_draft_tokens if drafting else 0,
        )
        show_state(cache, residency.admission)
        chat.install(handler, cache, settings.single_user, residency.make)
        setattr(
            state,
            STATE,
            _RouteState(
                cache=cache,
                settings=settings,
                residency=residency,
                metrics=metrics,
                has_key=compat.key_check(args.api_key),
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _RouteState:
    cache: ToolCache
    settings: EngineSettings
    residency: Residency
    metrics: EngineMetrics
    has_key: Callable[[Any], bool]


async def cache_tool_output(response_id: str, request: Request) -> JSONResponse:
    """Cache what tools returned for a response."""
    state: _RouteState = getattr(request.app.state, STATE)
    try:
        if not state.has_key(request.headers):
            raise ToolCacheError(401, "The Authorization header has no API key of this server; send 'Bearer <key>'.")
        owner = owner_of(request.headers)
        outputs = parse_post(await _read(request, state.settings.max_body_bytes))
        status, content = 200, CacheAnswer(num_cached=state.cache.put(response_id, owner, outputs)).to_json()
    except ToolCacheError as error:
        status, content = error.status, compat.error_response(error.status, str(error)).model_dump()
    state.metrics.posted(status)
    return JSONResponse(content, status_code=status)


async def _read(request: Request, max_bytes: int) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > max_bytes:
            raise ToolCacheError(413, f"The body has more than {max_bytes} bytes, which max_body_bytes allows.")
    return bytes(body)
