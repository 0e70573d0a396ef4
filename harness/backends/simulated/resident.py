"""A target on a simulated server with the tool cache: O2 and O3 of alg:engine-speculative, as in precall.engine."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.backends.simulated.kv_cache import Segment
from harness.backends.simulated.models import generation_of
from harness.backends.simulated.script import Script
from harness.backends.simulated.sequence import HOLD, Goes, Hold
from harness.backends.simulated.sequence import Sequence as EngineSequence
from harness.backends.simulated.server import CachedResponse, SimulatedServer
from precall.calls import ToolCall, canonical_key
from precall.chat import Messages
from precall.errors import MalformedCallError
from precall.events import now_s
from precall.stream import Generation
from precall.tool_cache import ToolCachePublisher
from precall.tools import Tool
from precall.wire import ToolOutput


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    """A turn that has ended at the engine at `ended_s`, with the results if it was executed."""

    turn: int
    ended_s: float
    num_prompt_tokens: int
    texts: tuple[str, ...] | None


class SimulatedResidentTarget:
    """Says the turns of the script, as many in one response as the tool cache allows.

    With `is_residency`, a turn whose calls are all cached is executed and the next follows in the same sequence; for
    one that is announced as running the engine waits `max_wait_s` at most. With `is_drafting`, calls that are cached or
    announced when the turn comes to them are verified in one step.
    """

    def __init__(
        self,
        server: SimulatedServer,
        script: Script,
        publisher: ToolCachePublisher,
        *,
        is_residency: bool = True,
        is_drafting: bool = True,
        max_wait_s: float = 1.0,
    ) -> None:
        self._server = server
        self._script = script
        self._publisher = publisher
        self.is_residency = is_residency
        self.is_drafting = is_drafting
        self.max_wait_s = max_wait_s
        self._next_turn = 0

    async def turns(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Generation, None]:
        address = self._publisher.open()
        response = self._server.open(address)
        schemas = {tool.name: tool.parameters for tool in tools}
        run = _ResponseRun(self._server, self._script, response, schemas, self._next_turn, self)
        sent_s = now_s()
        generation = None
        try:
            await self._server.carry_request()
            run.begin(self._script.path(messages))
            while generation is None or generation.is_continued:
                if generation is not None:
                    yield generation
                ended = await run.told.get()
                self._next_turn = ended.turn + 1
                await self._server.carry_answer(ended.ended_s)
                # As in precall.resident_target: a turn is sent when the one before has ended, its first token unseen.
                generation = generation_of(
                    self._script,
                    ended.turn,
                    num_prompt_tokens=ended.num_prompt_tokens,
                    sent_s=sent_s,
                    first_token_s=None,
                )
                generation = replace(generation, is_continued=ended.texts is not None, observations=ended.texts)
                sent_s = generation.finished_s
        finally:
            await run.aclose()
            self._publisher.close(address)
            self._server.close(response)
        yield generation


class _ResponseRun:
    """The engine's side of one response."""

    def __init__(
        self,
        server: SimulatedServer,
        script: Script,
        response: CachedResponse,
        schemas: Mapping[str, Any],
        turn: int,
        how: SimulatedResidentTarget,
    ) -> None:
        self.told: asyncio.Queue[_Ended] = asyncio.Queue()
        self._server = server
        self._script = script
        self._response = response
        self._schemas = schemas
        self._turn = turn
        self._how = how
        self._is_reasoning = False
        self._sequence: EngineSequence | None = None
        self._waiting: asyncio.Task[None] | None = None

    def begin(self, path: tuple[Segment, ...]) -> None:
        self._sequence = self._server.submit(
            path, self._first_tokens(), self._generated, key=self._script.generated_key(self._turn)
        )

    def _tell(self, sequence: EngineSequence, time_s: float, texts: tuple[str, ...] | None) -> None:
        ended = _Ended(turn=self._turn, ended_s=time_s, num_prompt_tokens=sequence.num_prompt_tokens, texts=texts)
        self.told.put_nowait(ended)

    async def aclose(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.gather(self._waiting, return_exceptions=True)
        if self._sequence is not None:
            self._server.abort(self._sequence)

    def _first_tokens(self) -> int:
        turn = self._script.turns[self._turn]
        self._is_reasoning = bool(turn.calls) and turn.num_reasoning_tokens > 0 and turn.num_call_tokens > 1
        return turn.num_reasoning_tokens if self._is_reasoning else turn.num_tokens

    def _generated(self, sequence: EngineSequence, time_s: float) -> Goes | Hold | None:
        turn = self._script.turns[self._turn]
        found = [self._find(call) for call in turn.calls]
        outputs = [output for output in found if output is not None]
        is_cached = bool(turn.calls) and len(outputs) == len(turn.calls)
        if self._is_reasoning:
            self._is_reasoning = False
            if is_cached and self._how.is_drafting:
                return Goes(num_tokens=1, num_input_tokens=turn.num_call_tokens, is_drafted=True)
            return Goes(num_tokens=turn.num_call_tokens)
        if is_cached and self._how.is_residency:
            if not any(output.is_running for output in outputs):
                return self._splice(sequence, time_s, outputs)
            self._waiting = asyncio.get_running_loop().create_task(self._wait(sequence, time_s))
            return HOLD
        self._tell(sequence, time_s, None)
        return None

    def _splice(self, sequence: EngineSequence, time_s: float, outputs: Sequence[ToolOutput]) -> Goes:
        texts = tuple(output.text for output in outputs)
        self._tell(sequence, time_s, texts)
        self._turn += 1
        segment = self._script.input_segment(self._turn, [{"role": "tool", "content": text} for text in texts])
        return Goes(
            num_tokens=self._first_tokens(),
            num_input_tokens=1 + segment.num_tokens,
            input_key=segment.key,
            key=self._script.generated_key(self._turn),
        )

    async def _wait(self, sequence: EngineSequence, since_s: float) -> None:
        """Wait for results that were announced; then go on with them, or let the client run the calls."""
        calls = self._script.turns[self._turn].calls
        give_up_s = since_s + self._how.max_wait_s
        while True:
            found = [self._find(call) for call in calls]
            outputs = [output for output in found if output is not None and not output.is_running]
            if len(outputs) == len(calls):
                self._server.resume(sequence, self._splice(sequence, now_s(), outputs))
                return
            self._response.changed.clear()
            try:
                async with asyncio.timeout_at(give_up_s):
                    await self._response.changed.wait()
            except TimeoutError:
                self._server.abort(sequence)
                self._tell(sequence, now_s(), None)
                return

    def _find(self, call: ToolCall) -> ToolOutput | None:
        """Return the latest output for a call, or else that it was announced as running."""
        schema = self._schemas.get(call.name)
        try:
            key = canonical_key(call, schema)
        except MalformedCallError:
            return None
        entries = [
            output
            for output, expires_s in self._response.entries
            if output.name == call.name and expires_s > now_s() and canonical_key(output.call, schema) == key
        ]
        finished = [output for output in entries if not output.is_running]
        return (finished or entries or [None])[-1]
