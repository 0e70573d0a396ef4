"""A chat model as draft: the same prompt, history and tools as the target's, and num_samples answers to them."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from precall.chat import ChatClient, Messages, Sampling
from precall.drafts.protocol import Prediction
from precall.errors import ConfigError
from precall.events import now_s
from precall.stream import GenerationBuilder
from precall.tools import Tool
from precall.usage import Usage


class ChatDraft:
    """Predicts with a chat model (the paper's S, alg:spec-tool-cache).

    All samples of a turn are choices of one request (`n` of the API): its prompt is sent, rendered and computed once.
    vLLM gives choice i the seed `sampling.seed + i`. At temperature 0 all samples are alike, which is refused. Without
    `sampling` the endpoint's own holds.
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
        """Yield each sample when another of its calls is complete, and when it is. The sample that is complete last
        carries the token counts of the whole request, the others 0. Raises BackendError as `ChatClient.stream` does."""
        sent_s, usage = now_s(), Usage()
        builders = {index: GenerationBuilder(sent_s=sent_s) for index in range(self._num_samples)}
        running, num_told, last = set(builders), dict.fromkeys(builders, 0), 0
        stream = self._client.stream(messages, tools, self._sampling, self._extra_body, num_choices=self._num_samples)
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                usage = usage if chunk.usage is None else Usage.parse(chunk.usage)
                for choice in chunk.choices:
                    if choice.index not in builders:
                        continue
                    last = choice.index
                    builders[last].add_choice(choice, now_s())
                    if choice.finish_reason:
                        running.discard(last)
                    if choice.finish_reason and running:
                        yield _complete(last, builders[last], Usage(num_prompt_tokens=0, num_output_tokens=0))
                    elif len(calls := builders[last].complete_calls()) > num_told[last]:
                        num_told[last] = len(calls)
                        yield Prediction(sample=last, calls=calls, sent_s=sent_s, is_complete=False)
        yield _complete(last, builders[last], usage)


def _complete(sample: int, builder: GenerationBuilder, usage: Usage) -> Prediction:
    return Prediction(
        sample=sample,
        calls=builder.calls(),
        sent_s=builder.sent_s,
        num_prompt_tokens=usage.num_prompt_tokens,
        num_output_tokens=usage.num_output_tokens,
    )
