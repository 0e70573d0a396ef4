"""A streaming-input session of vLLM's engine, driven one chunk and one turn at a time."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from precall.engine import compat


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCall:
    """What the chat handler passes to AsyncLLM.generate, and the client to which it goes."""

    client: Any
    prompt: Any
    params: Any
    request_id: str
    options: dict[str, Any]

    def ordinary(self, prompt: Any, params: Any) -> AsyncGenerator[Any, None]:
        """Return the outputs of an ordinary request that differs from this one in prompt and parameters."""
        return self.client.generate(prompt, params, self.request_id, **self.options)


@dataclass(slots=True, kw_only=True)
class Turn:
    """The outputs of one turn, in the order in which they came; each holds what is new."""

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


class Session:
    """One sequence of the engine over several chunks of input. Closing it frees its blocks at once."""

    def __init__(self, call: EngineCall) -> None:
        self._call = call
        self._chunks: asyncio.Queue[Any] = asyncio.Queue()
        self._stream: AsyncGenerator[Any, None] | None = None

    def push(self, token_ids: list[int], params: Any) -> None:
        """Have the engine go on with these tokens. The last token of the turn before must stand first among them.

        The engine drops it (`Scheduler._update_request_as_session`), since it has not been through the model.
        """
        prompt = compat.tokens_prompt(token_ids, self._call.prompt.get("cache_salt"))
        self._chunks.put_nowait(compat.streaming_input(prompt, compat.with_deltas(params)))
        if self._stream is None:
            # With streaming input vLLM refuses both, which matter to grammars alone.
            options = self._call.options | {"reasoning_ended": None, "reasoning_parser_kwargs": None}
            first = compat.with_deltas(params)
            self._stream = self._call.client.generate(self._inputs(), first, self._call.request_id, **options)

    async def turn(self, timeout_s: float | None = None) -> Turn:
        """Return the turn that the last chunk led to. Raises TimeoutError when no token comes for `timeout_s`."""
        assert self._stream is not None, "a session is pushed before its first turn"
        turn = Turn()
        while not turn.outputs or turn.finish_reason is None:
            async with asyncio.timeout(timeout_s):
                turn.outputs.append(await anext(self._stream))
        return turn

    async def _inputs(self) -> AsyncGenerator[Any, None]:
        while True:
            yield await self._chunks.get()

    async def aclose(self) -> None:
        if self._stream is not None:
            await self._stream.aclose()
