"""The client half of the tool cache: posts what executions returned to the response that the target is at work on.

The routes and answers stand in docs/tool-cache.md. A post that fails or is refused costs a hit and nothing else.
"""

import asyncio
import secrets
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from precall.calls import Observation, ToolCall, parse_arguments
from precall.errors import BackendError
from precall.events import EventKind, EventRecorder
from precall.tools import Tool
from precall.wire import REQUEST_ID_HEADER, RESPONSE_ID_PREFIX, SECRET_HEADER, ToolOutput, post_body, post_path

ANNOUNCE_AFTER_S = 0.02
"""A tool that runs longer is announced as running, so that the engine waits for it; a faster one costs one post."""
POST_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseAddress:
    """One response to come: the id of its request and the secret that shows whose it is, both drawn at random."""

    request_id: str = field(default_factory=lambda: secrets.token_hex(16))
    secret: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    @property
    def response_id(self) -> str:
        return f"{RESPONSE_ID_PREFIX}{self.request_id}"

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the chat request and of every post for its response."""
        return {REQUEST_ID_HEADER: self.request_id, SECRET_HEADER: self.secret}


class Poster(Protocol):
    """Posts JSON to a server and returns status and text, as `ChatClient.post` does; BackendError: no answer."""

    async def post(self, path: str, body: Any, headers: Mapping[str, str], timeout_s: float) -> tuple[int, str]: ...


class ToolCachePublisher:
    """Posts the executions of one trajectory. Its target says which response is open; while none is, nothing is
    posted, and what belongs to a response that has been closed is dropped."""

    def __init__(self, poster: Poster, recorder: EventRecorder) -> None:
        self._poster = poster
        self._recorder = recorder
        self._address: ResponseAddress | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self) -> ResponseAddress:
        """Begin a response and return its address, which nothing before it has had."""
        self._address = ResponseAddress()
        return self._address

    def close(self, address: ResponseAddress) -> None:
        """End a response; one that has been followed by another stays as it is."""
        if self._address is address:
            self._address = None

    def launched(self, turn: int, tool: Tool, call: ToolCall, execution: asyncio.Task[Observation]) -> None:
        """Follow an execution to its end. Source: alg:client-speculative; the announcement is ours."""
        if self._address is not None:
            self._start(self._announce(self._address, turn, tool, call, execution))
            self._start(self._deliver(self._address, turn, call, execution))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _announce(
        self, address: ResponseAddress, turn: int, tool: Tool, call: ToolCall, execution: asyncio.Task[Observation]
    ) -> None:
        await asyncio.wait({execution}, timeout=ANNOUNCE_AFTER_S)
        if not execution.done():
            # It cannot run for longer than the tool's time-out.
            output = ToolOutput(
                name=call.name, params=parse_arguments(call), is_running=True, keep_alive_s=tool.timeout_s
            )
            await self._post(address, turn, call, output)

    async def _deliver(
        self, address: ResponseAddress, turn: int, call: ToolCall, execution: asyncio.Task[Observation]
    ) -> None:
        await asyncio.wait({execution})
        if execution.cancelled() or execution.exception() is not None or execution.result().is_error:
            return
        output = ToolOutput(name=call.name, params=parse_arguments(call), output=execution.result().content)
        await self._post(address, turn, call, output)

    async def _post(self, address: ResponseAddress, turn: int, call: ToolCall, output: ToolOutput) -> None:
        if self._address is not address:
            return
        entry = {"name": call.name, "arguments": call.arguments, "is_running": output.is_running}
        path = post_path(address.response_id)
        try:
            status, text = await self._poster.post(path, post_body([output]), address.headers, POST_TIMEOUT_S)
        except BackendError as error:
            self._recorder.emit(EventKind.POST_FAILED, turn, **entry, status=None, message=str(error))
            return
        if status == 200:
            self._recorder.emit(EventKind.OUTPUT_POSTED, turn, **entry)
        else:
            self._recorder.emit(EventKind.POST_FAILED, turn, **entry, status=status, message=text)

    async def aclose(self) -> None:
        """Break off the posts that are on their way, and wait for their end."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
