"""A resident sequence (the paper's O3): the results of cached calls follow their turn in the same sequence.

It stands where the stock chat handler expects one generation, and hands it the last turn alone, as the outputs of an
ordinary request whose prompt is everything before. So routing, parsing, SSE and usage of that turn stay vLLM's.
Earlier turns go to `on_executed`. No sequence is kept for a call that misses: it is freed before the turn is handed on.
"""

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from precall.engine import compat
from precall.engine.admission import Admission, Reservation
from precall.engine.metrics import EngineMetrics
from precall.engine.session import EngineCall, Session, Turn
from precall.engine.settings import EngineSettings
from precall.engine.splice import Splice, Splicer
from precall.engine.store import LiveResponse
from precall.engine.support import why_input_is_ordinary
from precall.wire import ExecutedTurn, ResponseOptions

logger = logging.getLogger("vllm.precall")


@dataclass(slots=True, kw_only=True)
class ResidentRequest:
    """One chat request that may be resident. `request` is the chat request, `response` what is cached for it.

    `num_executed` counts executed turns, `num_generated` and `num_reasoning` the tokens generated in them.
    """

    request: Any
    response: LiveResponse
    options: ResponseOptions
    splicer: Splicer
    admission: Admission
    settings: EngineSettings
    metrics: EngineMetrics
    on_executed: Callable[[ExecutedTurn], None]
    num_executed: int = 0
    num_generated: int = 0
    num_reasoning: int = 0
    why_ordinary: str | None = None

    async def generate(self, call: EngineCall) -> AsyncGenerator[Any, None]:
        """Yield the outputs of the last turn, for the chat handler."""
        reservation = None
        self.why_ordinary = why_input_is_ordinary(call.prompt, call.params, call.options.get("lora_request"))
        if self.why_ordinary is None:
            num_tokens = len(call.prompt["prompt_token_ids"]) + call.params.max_tokens
            self.why_ordinary = self.admission.why_full(num_tokens)
            reservation = self.admission.admit(num_tokens)
        if reservation is None:
            self.metrics.ordinary(self.why_ordinary)
            logger.debug("%s runs as an ordinary request: %s.", call.request_id, self.why_ordinary)
            stream = call.ordinary(call.prompt, self._with_xargs(call.params))
        else:
            self.metrics.resident()
            stream = self._resident(call, reservation)
        async with aclosing(stream):
            async for output in stream:
                yield output

    async def _resident(self, call: EngineCall, reservation: Reservation) -> AsyncGenerator[Any, None]:
        context = list(call.prompt["prompt_token_ids"])
        with reservation:
            turn = await self._run_turns(call, context, reservation)
        if turn is not None:
            for output in compat.as_ordinary(turn.outputs, context, call.params.output_kind):
                yield output
            return
        self.metrics.stalled()
        logger.warning("%s stalled in turn %d; it goes on as an ordinary request.", call.request_id, self.num_executed)
        prompt = compat.tokens_prompt(context, call.prompt.get("cache_salt"))
        async with aclosing(call.ordinary(prompt, self._turn_params(call.params, len(context)))) as stream:
            async for output in stream:
                yield output

    async def _run_turns(self, call: EngineCall, context: list[int], reservation: Reservation) -> Turn | None:
        """Return the last turn, or None when a spliced one has stalled. `context` grows to what lies before it."""
        async with aclosing(Session(call)) as session:
            session.push(list(context), self._turn_params(call.params, len(context)))
            turn = await session.turn()
            while (splice := await self._splice(turn, len(context), call.params, reservation)) is not None:
                self._record(splice, context, turn)
                context += [*turn.token_ids, *splice.token_ids]
                chunk = [turn.token_ids[-1], *splice.token_ids]
                session.push(chunk, self._turn_params(call.params, len(context)))
                try:
                    turn = await session.turn(self.settings.stall_timeout_s)
                except TimeoutError:
                    return None
        return turn

    async def _splice(self, turn: Turn, num_context: int, params: Any, reservation: Reservation) -> Splice | None:
        """Return what follows a turn whose calls are all cached; None ends the response with the turn."""
        cap = self.settings.max_response_tokens
        cap = min(self.options.max_response_tokens or cap, cap)
        if turn.finish_reason != "stop" or self.num_generated + len(turn.token_ids) >= cap:
            return None
        try:
            splice = await self.splicer.splice(self.request, self.response, turn.text, turn.token_ids)
        except Exception:  # the edge of a splice: whatever goes wrong in it, the turn goes to the client as it is
            self.metrics.not_spliced("error")
            logger.exception("A turn of %s could not be spliced.", self.response.response_id)
            return None
        if splice is None:
            return None
        # A chunk past max_model_len kills the engine, and one token must fit behind it.
        num_tokens = num_context + len(turn.token_ids) + len(splice.token_ids)
        if num_tokens + 1 > self.admission.max_model_len:
            self.metrics.not_spliced("length")
            return None
        if not reservation.grow(num_tokens + params.max_tokens):
            self.metrics.not_spliced("room")
            return None
        return splice

    def _record(self, splice: Splice, context: list[int], turn: Turn) -> None:
        self.num_executed += 1
        self.num_generated += len(turn.token_ids)
        self.num_reasoning += splice.num_reasoning_tokens
        # All that has been through the model: not the turn's last token, which is sent again.
        self.metrics.spliced(len(splice.token_ids), len(context) + len(turn.token_ids) - 1)
        has_ids = bool(self.request.return_token_ids)
        self.on_executed(
            ExecutedTurn(
                reasoning=splice.reasoning,
                content=splice.content,
                calls=splice.calls,
                outputs=splice.texts,
                num_prompt_tokens=len(context),
                num_output_tokens=len(turn.token_ids),
                prompt_token_ids=tuple(context) if has_ids and self.num_executed == 1 else None,
                token_ids=tuple(turn.token_ids) if has_ids else None,
                result_token_ids=tuple(splice.token_ids) if has_ids else None,
            )
        )

    def _with_xargs(self, params: Any) -> Any:
        """Return the sampling parameters with the extra arguments that the request has for the coming turn."""
        params = params.clone()
        if self.num_executed < len(self.options.turn_xargs):
            params.extra_args = {**(params.extra_args or {}), **self.options.turn_xargs[self.num_executed]}
        return params

    def _turn_params(self, params: Any, num_context: int) -> Any:
        params = self._with_xargs(params)
        params.max_tokens = min(params.max_tokens, self.admission.max_model_len - num_context)
        return params
