"""Models that follow a script: a target and a draft whose answers, and the seconds they take, are written down."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
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
    BackendError with the message `failure`, after which the draft says no more in this turn.

    `call_delays_s` may say when the first calls of them are complete, while the sample goes on; they do not decrease.
    """

    delay_s: float
    calls: tuple[ToolCall, ...] = ()
    num_prompt_tokens: int | None = None
    num_output_tokens: int | None = None
    failure: str | None = None
    call_delays_s: tuple[float, ...] = ()


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
            for delay_s, index, num_calls in sorted(_moments(samples), key=lambda moment: moment[0]):
                await asyncio.sleep(sent_s + delay_s - now_s())
                sample = samples[index]
                if num_calls is not None:
                    yield Prediction(sample=index, calls=sample.calls[:num_calls], sent_s=sent_s, is_complete=False)
                    continue
                if sample.failure is not None:
                    raise BackendError(sample.failure)
                yield Prediction(
                    sample=index,
                    calls=sample.calls,
                    sent_s=sent_s,
                    num_prompt_tokens=sample.num_prompt_tokens,
                    num_output_tokens=sample.num_output_tokens,
                )
        finally:
            self.num_running -= 1


def _moments(samples: Sequence[ScriptedSample]) -> Iterator[tuple[float, int, int | None]]:
    """Yield when something is told of a sample, its index, and how many calls it has then; None: it is complete."""
    for index, sample in enumerate(samples):
        for num_before, delay_s in enumerate(sample.call_delays_s):
            yield min(delay_s, sample.delay_s), index, num_before + 1
        yield sample.delay_s, index, None
