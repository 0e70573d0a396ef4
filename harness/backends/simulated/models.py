"""A target and a draft on simulated servers, each object for one trajectory."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from harness.backends.simulated.kv_cache import Segment
from harness.backends.simulated.script import Script
from harness.backends.simulated.server import SimulatedServer
from precall.chat import Messages
from precall.drafts.protocol import Prediction
from precall.events import now_s
from precall.stream import Generation
from precall.tools import Tool


def generation_of(
    script: Script, index: int, *, num_prompt_tokens: int, sent_s: float, first_token_s: float | None
) -> Generation:
    """Return turn `index` as the client has it at this moment."""
    turn = script.turns[index]
    return Generation(
        content=turn.content,
        reasoning=turn.reasoning,
        tool_calls=tuple(
            call if call.call_id else replace(call, call_id=f"call_{index}_{number}")
            for number, call in enumerate(turn.calls)
        ),
        finish_reason="tool_calls" if turn.calls else "stop",
        sent_s=sent_s,
        first_token_s=first_token_s,
        finished_s=now_s(),
        num_prompt_tokens=num_prompt_tokens,
        num_output_tokens=turn.num_tokens,
    )


class SimulatedTarget:
    """Says each turn of the script in its order, a request for each."""

    def __init__(self, server: SimulatedServer, script: Script) -> None:
        self._server = server
        self._script = script
        self._next_turn = 0

    async def turns(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Generation, None]:
        index, self._next_turn = self._next_turn, self._next_turn + 1
        script, server = self._script, self._server
        sent_s = now_s()
        await server.carry_request()
        sequence = await server.generate(
            script.path(messages), script.turns[index].num_tokens, key=script.generated_key(index)
        )
        ended_s = now_s()
        await server.carry_answer()
        assert sequence.first_token_s is not None, "a sequence that has ended gave a first token"
        first_token_s = sequence.first_token_s + (now_s() - ended_s)  # it travels as long as the last
        yield generation_of(
            script,
            index,
            num_prompt_tokens=sequence.num_prompt_tokens,
            sent_s=sent_s,
            first_token_s=first_token_s,
        )


class SimulatedDraft:
    """Says the samples of the turn that follows the history. Those of one length decode side by side and end
    together."""

    def __init__(self, server: SimulatedServer, script: Script) -> None:
        self._server = server
        self._script = script

    async def predict(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Prediction, None]:
        index = sum(message["role"] == "assistant" for message in messages)
        samples = self._script.turns[index].samples
        by_length: dict[int, list[int]] = {}
        for number, sample in enumerate(samples):
            by_length.setdefault(sample.num_tokens, []).append(number)
        sent_s = now_s()
        path = self._script.path(messages)
        num_prompt_tokens = sum(segment.num_tokens for segment in path)
        await self._server.carry_request()  # one request, of which each sample is a choice
        asked = [asyncio.create_task(self._ask(path, length, by_length[length])) for length in sorted(by_length)]
        try:
            for group in asyncio.as_completed(asked):
                for number in await group:
                    sample = samples[number]
                    yield Prediction(
                        sample=number,
                        calls=sample.calls,
                        sent_s=sent_s,
                        num_prompt_tokens=num_prompt_tokens,
                        num_output_tokens=sample.num_tokens,
                    )
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    async def _ask(self, path: tuple[Segment, ...], num_tokens: int, numbers: list[int]) -> list[int]:
        await self._server.generate(path, num_tokens, num_samples=len(numbers))
        await self._server.carry_answer()
        return numbers
