"""Models that follow a script: a target and a draft whose answers, and the seconds they take, are written down."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from precall.calls import ToolCall
from precall.chat import Messages
from precall.drafts.protocol import Prediction
from precall.errors import BackendError
from precall.events import now_s
from precall.stream import Generation
from precall.tools import Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedGeneration:
    """One turn of the target: `duration_s` seconds, then these calls, or a BackendError with the message `failure`."""

    duration_s: float
    calls: tuple[ToolCall, ...] = ()
    content: str = ""
    num_output_tokens: int | None = None
    failure: str | None = None


class ScriptedTarget:
    """Answers request i with the turns of `responses[i]`, one after the other. A call without an id gets one.

    `requests` holds the histories that were sent, as they were then.
    """

    def __init__(self, responses: Sequence[Sequence[ScriptedGeneration]]) -> None:
        self._responses = responses
        self._num_calls = 0
        self.requests: list[list[dict[str, Any]]] = []

    async def turns(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Generation, None]:
        index = len(self.requests)
        num = len(self._responses)
        assert index < num, f"request {index + 1} reached a target whose script holds {num} responses"
        self.requests.append([dict(message) for message in messages])
        response = self._responses[index]
        for position, scripted in enumerate(response, start=1):
            sent_s = now_s()
            await asyncio.sleep(scripted.duration_s)
            if scripted.failure is not None:
                raise BackendError(scripted.failure)
            yield Generation(
                content=scripted.content,
                reasoning="",
                tool_calls=tuple(self._with_id(call) for call in scripted.calls),
                finish_reason="tool_calls" if scripted.calls else "stop",
                sent_s=sent_s,
                first_token_s=None,
                finished_s=now_s(),
                num_output_tokens=scripted.num_output_tokens,
                is_continued=position < len(response),
            )

    def _with_id(self, call: ToolCall) -> ToolCall:
        self._num_calls += 1
        return call if call.call_id else replace(call, call_id=f"call_{self._num_calls}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedSample:
    """One sample of the draft: complete `delay_s` seconds after the draft was asked, with these calls, or a
    BackendError with the message `failure`, after which the draft says no more in this turn."""

    delay_s: float
    calls: tuple[ToolCall, ...] = ()
    num_output_tokens: int | None = None
    failure: str | None = None


@dataclass(slots=True, kw_only=True)
class ScriptedDraft:
    """Predicts turn i of a trajectory with the samples `turns[i]`, and nothing after the last.

    The turn is the number of assistant messages in the history. `num_asked` counts the requests that it has seen, and
    `num_running` those that have not come to an end.
    """

    turns: Sequence[Sequence[ScriptedSample]]
    num_asked: int = field(default=0, init=False)
    num_running: int = field(default=0, init=False)

    async def predict(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Prediction, None]:
        turn = sum(message["role"] == "assistant" for message in messages)
        samples = self.turns[turn] if turn < len(self.turns) else ()
        sent_s = now_s()
        self.num_asked += 1
        self.num_running += 1
        try:
            for index, sample in sorted(enumerate(samples), key=lambda item: item[1].delay_s):
                await asyncio.sleep(sent_s + sample.delay_s - now_s())
                if sample.failure is not None:
                    raise BackendError(sample.failure)
                yield Prediction(
                    sample=index, calls=sample.calls, sent_s=sent_s, num_output_tokens=sample.num_output_tokens
                )
        finally:
            self.num_running -= 1
