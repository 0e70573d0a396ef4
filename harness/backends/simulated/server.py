"""A simulated engine behind a simulated endpoint, on the running event loop's clock (precall.testing.virtual_time)."""

import asyncio
import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

from harness.backends.simulated.core import MessageThread, OnCore
from harness.backends.simulated.engine import BatchingEngine
from harness.backends.simulated.kv_cache import Segment
from harness.backends.simulated.rates import EngineModel
from harness.backends.simulated.sequence import Goes, Hold, Sequence
from precall.events import now_s
from precall.tool_cache import ResponseAddress
from precall.wire import SECRET_HEADER, ToolOutput, parse_post, post_path

DEFAULT_TTL_S = 60.0
"""What precall.engine keeps an entry for that does not say."""


@dataclass(slots=True, kw_only=True)
class CachedResponse:
    """A response that lives: what was posted for it, each with the time at which it expires."""

    address: ResponseAddress
    entries: list[tuple[ToolOutput, float]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class SimulatedServer:
    """Drives one engine by the loop's timers. A message takes `overhead_s` each way; a post to the tool cache too.

    With a `place`, messages are jobs of a thread on a core, and there the engine's steps may be, too; their times are
    then on their thread's clock.
    """

    def __init__(self, model: EngineModel, place: OnCore | None = None) -> None:
        self.engine = BatchingEngine(model.rates, model.limits)
        self.overhead_s = model.overhead_s
        self._core = None if place is None else place.core
        self._messages = self._steps = None
        if place is not None:
            self._messages = MessageThread(place.core, place.weight, in_order=True)
            self._steps = place.core.thread(self._advance, place.weight) if place.computes else None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = inf
        self._live: dict[str, CachedResponse] = {}
        self._finished: set[str] = set()

    async def carry_request(self) -> None:
        """Return when a message from the client has arrived."""
        if self._core is not None:
            await self._core.client.handle(self._core.client_s)
        await self._carry(now_s())

    async def carry_answer(self, since_s: float | None = None) -> None:
        """Return when a message to the client has arrived that was sent at `since_s` (default: now)."""
        await self._carry(now_s() if since_s is None else since_s)

    async def _carry(self, since_s: float) -> None:
        if self._messages is not None:
            await self._messages.handle(self.overhead_s)
        else:
            await asyncio.sleep(since_s + self.overhead_s - now_s())

    def _now_s(self) -> float:
        return now_s() if self._steps is None else self._steps.now_s()

    # Generating. What these two return is true at the engine; the caller lets the messages travel.

    async def generate(
        self, path: tuple[Segment, ...], num_tokens: int, *, num_samples: int = 1, key: Hashable = None
    ) -> Sequence:
        """Have `num_tokens` generated behind the prompt `path`, and return the sequence when they are. A caller that
        is cancelled takes the sequence with it."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def end(sequence: Sequence, time_s: float) -> None:
            if not done.done():
                done.set_result(None)

        sequence = self.submit(path, num_tokens, end, num_samples=num_samples, key=key)
        try:
            await done
        finally:
            self.abort(sequence)
        return sequence

    def submit(self, path: tuple[Segment, ...], num_tokens: int, on_end: Any, **how: Any) -> Sequence:
        sequence = self.engine.submit(self._now_s(), path, num_tokens, on_end, **how)
        self._set_timer()
        return sequence

    def resume(self, sequence: Sequence, goes: Goes | Hold) -> None:
        assert isinstance(goes, Goes), "only what goes on is resumed"
        self.engine.resume(self._now_s(), sequence, goes)
        self._set_timer()

    def abort(self, sequence: Sequence) -> None:
        """End a sequence, if it has not ended."""
        self.engine.abort(self._now_s(), sequence)
        self._set_timer()

    def _set_timer(self) -> None:
        if self._steps is not None:
            self._steps.set_due(self.engine.next_s)
            return
        if self._core is not None:
            self._core.set_background(self._core.stream_token_s * self.engine.tokens_per_s)
        if self.engine.next_s == self._timer_s:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_s = self.engine.next_s
        loop = asyncio.get_running_loop()
        self._timer = None if self._timer_s == inf else loop.call_at(self._timer_s, self._advance)

    def _advance(self) -> None:
        self._timer, self._timer_s = None, inf
        self.engine.advance()
        self._set_timer()

    # The tool cache: docs/tool-cache.md.

    def open(self, address: ResponseAddress) -> CachedResponse:
        """Begin a response to which results can be posted."""
        response = self._live[post_path(address.response_id)] = CachedResponse(address=address)
        return response

    def close(self, response: CachedResponse) -> None:
        path = post_path(response.address.response_id)
        del self._live[path]
        self._finished.add(path)

    async def post(self, path: str, body: Any, headers: Mapping[str, str], timeout_s: float) -> tuple[int, str]:
        """Take a post as precall.engine does; see precall.tool_cache.Poster."""
        outputs = parse_post(json.dumps(body).encode())
        await self.carry_request()
        status = 200 if path in self._live else 410 if path in self._finished else 404
        if status == 200:
            response = self._live[path]
            if headers[SECRET_HEADER] != response.address.secret:
                status = 403
            else:
                response.entries += [(output, now_s() + (output.keep_alive_s or DEFAULT_TTL_S)) for output in outputs]
                response.changed.set()
        await self.carry_answer()
        return status, f"simulated {status}"
