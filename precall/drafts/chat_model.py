"""A chat model as draft: the same prompt, history and tools as the target's, asked num_samples times at once."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from precall.chat import ChatClient, Messages, Sampling
from precall.drafts.protocol import Prediction
from precall.errors import BackendError, ConfigError
from precall.events import now_s
from precall.stream import GenerationBuilder
from precall.tools import Tool


class ChatDraft:
    """Predicts with a chat model (the paper's S, alg:spec-tool-cache).

    With several samples, sample i is sent with seed `sampling.seed + i`; at temperature 0 all samples are alike, which
    is refused. Without `sampling` the endpoint's own holds.
    """

    def __init__(
        self,
        client: ChatClient,
        sampling: Sampling | None = None,
        num_samples: int = 1,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        if num_samples < 1:
            raise ConfigError(f"num_samples is {num_samples}; it must be at least 1. speculation=off asks no draft.")
        if num_samples > 1 and sampling is not None and sampling.temperature == 0.0:
            raise ConfigError(
                f"num_samples is {num_samples} at temperature 0: all samples would be alike. "
                "Set the draft's temperature above 0, or num_samples to 1."
            )
        self._client = client
        self._sampling = sampling
        self._num_samples = num_samples
        self._extra_body = extra_body

    async def predict(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Prediction, None]:
        """Yield each sample when another of its calls is complete, and when it is. A failed sample does not keep back
        the others; its BackendError is raised after them."""
        told: asyncio.Queue[Prediction | asyncio.Task[None]] = asyncio.Queue()
        samples = [
            asyncio.create_task(self._ask(index, messages, tools, told.put_nowait))
            for index in range(self._num_samples)
        ]
        for sample in samples:
            sample.add_done_callback(told.put_nowait)
        num_running = len(samples)
        failure: BackendError | None = None
        try:
            while num_running:
                item = await told.get()
                if isinstance(item, Prediction):
                    yield item
                    continue
                num_running -= 1
                try:
                    item.result()
                except BackendError as error:
                    failure = failure or error
        finally:
            for task in samples:
                task.cancel()
            await asyncio.gather(*samples, return_exceptions=True)
        if failure is not None:
            raise failure

    async def _ask(
        self, index: int, messages: Messages, tools: Sequence[Tool], tell: Callable[[Prediction], None]
    ) -> None:
        sampling = self._sampling
        if sampling is not None and sampling.seed is not None:
            sampling = replace(sampling, seed=sampling.seed + index)
        sent_s, num_told = now_s(), 0
        builder = GenerationBuilder(sent_s=sent_s)
        async with aclosing(self._client.stream(messages, tools, sampling, self._extra_body)) as chunks:
            async for chunk in chunks:
                builder.add(chunk, now_s())
                calls = builder.complete_calls()
                if len(calls) > num_told:
                    num_told = len(calls)
                    tell(Prediction(sample=index, calls=calls, sent_s=sent_s, is_complete=False))
        generation = builder.build(finished_s=now_s())
        tell(
            Prediction(
                sample=index,
                calls=generation.tool_calls,
                sent_s=sent_s,
                num_prompt_tokens=generation.num_prompt_tokens,
                num_output_tokens=generation.num_output_tokens,
            )
        )
