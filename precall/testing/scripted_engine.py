"""An engine with a tool cache that follows a script: target and poster in one, in the place of precall.engine."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from precall.calls import ToolCall, canonical_key
from precall.chat import Messages
from precall.errors import BackendError, MalformedCallError
from precall.events import now_s
from precall.stream import Generation
from precall.testing.scripted import ScriptedGeneration
from precall.tool_cache import ResponseAddress, ToolCachePublisher
from precall.tools import Tool
from precall.wire import SECRET_HEADER, ToolOutput, parse_post, post_path


@dataclass(slots=True, kw_only=True)
class _Response:
    address: ResponseAddress
    entries: list[tuple[ToolOutput, float]] = field(default_factory=list)  # with the time at which each expires
    changed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True, kw_only=True)
class ScriptedEngine:
    """Goes through `script`, turn by turn, as far as each response reaches: a turn whose calls are all cached is
    executed and the next follows in the same response; any other ends it. Set `publisher` before the first request.

    A call announced as running is awaited for at most `max_wait_s`. A post arrives after `post_delay_s`; post i is
    refused with the status `refusals[i]`, None for a lost connection, or with 404, 403 or 410 as docs/tool-cache.md has
    it. `requests` holds the histories that were sent, `posts` what arrived, with its time.
    """

    script: Sequence[ScriptedGeneration]
    max_wait_s: float = 1.0
    post_delay_s: float = 0.0
    refusals: Mapping[int, int | None] = field(default_factory=dict)
    publisher: ToolCachePublisher | None = None
    requests: list[list[dict[str, Any]]] = field(default_factory=list, init=False)
    posts: list[tuple[float, ToolOutput]] = field(default_factory=list, init=False)
    _num_turns: int = field(default=0, init=False)
    _num_calls: int = field(default=0, init=False)
    _live: dict[str, _Response] = field(default_factory=dict, init=False)
    _finished: set[str] = field(default_factory=set, init=False)

    async def turns(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Generation, None]:
        assert self.publisher is not None, "the engine has no publisher to tell of its responses"
        self.requests.append([dict(message) for message in messages])
        response = _Response(address=self.publisher.open())
        path = post_path(response.address.response_id)
        self._live[path] = response
        schemas = {tool.name: tool.parameters for tool in tools}
        try:
            while True:
                generation = await self._generate()
                texts = await self._texts(response, generation.tool_calls, schemas)
                if texts is None:
                    break
                yield replace(generation, finished_s=now_s(), is_continued=True, observations=texts)
        finally:
            self.publisher.close(response.address)
            del self._live[path]
            self._finished.add(path)
        yield replace(generation, finished_s=now_s())

    async def post(self, path: str, body: Any, headers: Mapping[str, str], timeout_s: float) -> tuple[int, str]:
        await asyncio.sleep(self.post_delay_s)
        index = len(self.posts)
        outputs = parse_post(json.dumps(body).encode())
        self.posts += [(now_s(), output) for output in outputs]
        status = self.refusals.get(index, self._status(path, headers))
        if status is None:
            raise BackendError("the connection is lost")
        if status == 200:
            response = self._live[path]
            response.entries += [(output, now_s() + (output.keep_alive_s or 60.0)) for output in outputs]
            response.changed.set()
        return status, f"scripted {status}"

    def _status(self, path: str, headers: Mapping[str, str]) -> int:
        if path not in self._live:
            return 410 if path in self._finished else 404
        return 200 if headers[SECRET_HEADER] == self._live[path].address.secret else 403

    async def _generate(self) -> Generation:
        num = len(self.script)
        assert self._num_turns < num, f"turn {self._num_turns + 1} was asked of a script that holds {num}"
        scripted = self.script[self._num_turns]
        self._num_turns += 1
        sent_s = now_s()
        await asyncio.sleep(scripted.duration_s)
        if scripted.failure is not None:
            raise BackendError(scripted.failure)
        return Generation(
            content=scripted.content,
            reasoning="",
            tool_calls=tuple(self._with_id(call) for call in scripted.calls),
            finish_reason="tool_calls" if scripted.calls else "stop",
            sent_s=sent_s,
            first_token_s=None,
            finished_s=now_s(),
            num_output_tokens=scripted.num_output_tokens,
        )

    def _with_id(self, call: ToolCall) -> ToolCall:
        self._num_calls += 1
        return call if call.call_id else replace(call, call_id=f"call_{self._num_calls}")

    async def _texts(
        self, response: _Response, calls: Sequence[ToolCall], schemas: Mapping[str, Mapping[str, Any]]
    ) -> tuple[str, ...] | None:
        give_up_s = now_s() + self.max_wait_s
        while calls:
            found = [_find(response, call, schemas.get(call.name)) for call in calls]
            if None in found:
                return None
            outputs = [output for output in found if output is not None]
            if not any(output.is_running for output in outputs):
                return tuple(output.text for output in outputs)
            response.changed.clear()
            try:
                async with asyncio.timeout(give_up_s - now_s()):
                    await response.changed.wait()
            except TimeoutError:
                return None
        return None


def _find(response: _Response, call: ToolCall, schema: Mapping[str, Any] | None) -> ToolOutput | None:
    """Return the latest entry for a call, or else that it was announced as running."""
    try:
        key = canonical_key(call, schema)
    except MalformedCallError:
        return None
    entries = [
        output
        for output, expires_s in response.entries
        if output.name == call.name and expires_s > now_s() and canonical_key(output.call, schema) == key
    ]
    finished = [output for output in entries if not output.is_running]
    return (finished or entries or [None])[-1]
