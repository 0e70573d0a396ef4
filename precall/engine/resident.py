"""A resident sequence (the paper's O3): the results of cached calls follow their turn in the same sequence.

It stands where the stock chat handler expects one generation, and hands it the last turn alone, as the outputs of an
ordinary request whose prompt is everything before. So routing, parsing, SSE and usage of that turn stay vLLM's.
Earlier turns go to `on_executed`. No sequence is kept for a call that misses: it is freed before the turn is handed on.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from precall.engine import compat
from precall.engine.admission import Admission, Reservation
from precall.engine.settings import EngineSettings
from precall.engine.splice import Splice, Splicer
from precall.engine.store import LiveResponse
from precall.engine.support import why_input_is_ordinary
from precall.wire import ExecutedTurn, ResponseOptions

logger = logging.getLogger("vllm.precall")


@dataclass(slots=True, kw_only=True)
class Turn:
    """The outputs of one turn, in the order in which they came (each holds what is new)."""

    outputs: list[Any] = field(default_factory=list)

    @property
    def token_ids(self) -> list[int]:
        return [token_id for output in self.outputs for token_id in output.outputs[0].token_ids]

    @property
    def text(self) -> str:
        return "".join(output.outputs[0].text for output in self.outputs)

    @property
    def finish_reason(self) -> str | None:
        return self.outputs[-1].outputs[0].finish_reason


@dataclass(slots=True, kw_only=True)
class ResidentRequest:
    """One chat request that may be resident. `request` is the chat request, `response` what is cached for it."""

    request: Any
    response: LiveResponse
    options: ResponseOptions
    splicer: Splicer
    admission: Admission
    settings: EngineSettings
    on_executed: Callable[[ExecutedTurn], None]
    num_executed: int = 0  # turns; the next two count their tokens
    num_generated: int = 0
    num_reasoning: int = 0
    why_ordinary: str | None = None

    async def generate(
        self, client: Any, prompt: Any, params: Any, request_id: str, options: dict[str, Any]
    ) -> AsyncGenerator[Any, None]:
        """Yield the outputs of the last turn, for the chat handler. The arguments are those of AsyncLLM.generate."""
        self.why_ordinary = why_input_is_ordinary(prompt, params, options.get("lora_request"))
        reservation = None
        if self.why_ordinary is None:
            reservation = self.admission.admit(len(prompt["prompt_token_ids"]) + params.max_tokens)
            self.why_ordinary = None if reservation else "the room for resident sequences is taken"
        if reservation is None:
            stream = client.generate(prompt, self._params_of(params, 0), request_id, **options)
        else:
            stream = self._resident(client, prompt, params, request_id, options, reservation)
        async with aclosing(stream):
            async for output in stream:
                yield output

    async def _resident(
        self,
        client: Any,
        prompt: Any,
        params: Any,
        request_id: str,
        options: dict[str, Any],
        reservation: Reservation,
    ) -> AsyncGenerator[Any, None]:
        context = list(prompt["prompt_token_ids"])
        stalled = False
        with reservation:
            chunks = _Chunks(client, request_id, {**options, "reasoning_ended": None, "reasoning_parser_kwargs": None})
            async with aclosing(chunks):
                chunks.start(prompt | {"prompt_token_ids": list(context)}, self._delta_params(params, 0, len(context)))
                turn = await chunks.turn(None)
                while (splice := await self._splice(turn, context, params, reservation)) is not None:
                    self._record(splice, context, turn)
                    context += [*turn.token_ids, *splice.token_ids]
                    chunk = [turn.token_ids[-1], *splice.token_ids]
                    index = self.num_executed
                    chunks.push(chunk, prompt.get("cache_salt"), self._delta_params(params, index, len(context)))
                    try:
                        turn = await chunks.turn(self.settings.stall_timeout_s)
                    except TimeoutError:
                        logger.warning("%s stalled in turn %d; an ordinary request goes on.", request_id, index)
                        stalled = True
                        break
        if stalled:
            ordinary = compat.tokens_prompt(context, prompt.get("cache_salt"))
            stream = client.generate(
                ordinary, self._turn_params(params, self.num_executed, len(context)), request_id, **options
            )
            async with aclosing(stream):
                async for output in stream:
                    yield output
            return
        for output in compat.as_ordinary(turn.outputs, context, params.output_kind):
            yield output

    async def _splice(self, turn: Turn, context: Sequence[int], params: Any, reservation: Reservation) -> Splice | None:
        """Return what follows a turn whose calls are all cached; None ends the response with the turn."""
        if turn.finish_reason != "stop" or self.num_generated + len(turn.token_ids) >= self._max_response_tokens:
            return None
        try:
            splice = await self.splicer.splice(self.request, self.response, turn.text, turn.token_ids)
        except Exception:  # the edge of a splice: whatever goes wrong in it, the turn goes to the client as it is
            logger.exception("A turn of %s could not be spliced.", self.response.response_id)
            return None
        if splice is None:
            return None
        # A chunk past max_model_len kills the engine, and one token must fit behind it.
        num_tokens = len(context) + len(turn.token_ids) + len(splice.token_ids)
        if num_tokens + 1 > self.admission.max_model_len or not reservation.grow(num_tokens + params.max_tokens):
            return None
        return splice

    @property
    def _max_response_tokens(self) -> int:
        cap = self.settings.max_response_tokens
        return min(self.options.max_response_tokens or cap, cap)

    def _record(self, splice: Splice, context: Sequence[int], turn: Turn) -> None:
        self.num_executed += 1
        self.num_generated += len(turn.token_ids)
        self.num_reasoning += splice.num_reasoning_tokens
        with_ids = bool(self.request.return_token_ids)
        self.on_executed(
            ExecutedTurn(
                reasoning=splice.reasoning,
                content=splice.content,
                calls=splice.calls,
                outputs=splice.texts,
                num_prompt_tokens=len(context),
                num_output_tokens=len(turn.token_ids),
                token_ids=tuple(turn.token_ids) if with_ids else None,
                result_token_ids=tuple(splice.token_ids) if with_ids else None,
            )
        )

    def _params_of(self, params: Any, index: int) -> Any:
        """Sampling parameters of turn `index`, with the extra arguments that the client gave it."""
        if index >= len(self.options.turn_xargs):
            return params
        params = params.clone()
        params.extra_args = {**(params.extra_args or {}), **self.options.turn_xargs[index]}
        return params

    def _turn_params(self, params: Any, index: int, num_context: int) -> Any:
        params = self._params_of(params, index).clone()
        params.max_tokens = min(params.max_tokens, self.admission.max_model_len - num_context)
        return params

    def _delta_params(self, params: Any, index: int, num_context: int) -> Any:
        return compat.with_deltas(self._turn_params(params, index, num_context))


class _Chunks:
    """A streaming-input session of the engine, driven one chunk and one turn at a time."""

    def __init__(self, client: Any, request_id: str, options: dict[str, Any]) -> None:
        self._client = client
        self._request_id = request_id
        self._options = options
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self._stream: AsyncGenerator[Any, None] | None = None

    def start(self, prompt: Any, params: Any) -> None:
        self._queue.put_nowait(compat.streaming_input(prompt, params))
        self._stream = self._client.generate(self._inputs(), params, self._request_id, **self._options)

    def push(self, token_ids: list[int], cache_salt: str | None, params: Any) -> None:
        self._queue.put_nowait(compat.streaming_input(compat.tokens_prompt(token_ids, cache_salt), params))

    async def turn(self, timeout_s: float | None) -> Turn:
        """Return the turn that the last chunk led to. Raises TimeoutError when no token comes for `timeout_s`."""
        assert self._stream is not None, "a session is started before its first turn"
        turn = Turn()
        while not turn.outputs or turn.finish_reason is None:
            async with asyncio.timeout(timeout_s):
                turn.outputs.append(await anext(self._stream))
        return turn

    async def _inputs(self) -> AsyncGenerator[Any, None]:
        while True:
            yield await self._queue.get()

    async def aclose(self) -> None:
        """End the session; the engine frees its blocks at once."""
        if self._stream is not None:
            await self._stream.aclose()
