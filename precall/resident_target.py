"""A target on a server of precall.engine.serve: its responses may hold several turns (alg:client-speculative)."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from precall.chat import ChatClient, Messages, Sampling
from precall.errors import BackendError
from precall.events import now_s
from precall.stream import Generation, GenerationBuilder
from precall.tool_cache import ToolCachePublisher
from precall.tools import Tool
from precall.wire import OPTIONS_FIELD, ExecutedTurn, parse_executed_turns


class ResidentTarget:
    """Sends one chat request per response and yields its turns: those that the engine executed when they have ended,
    then the last, whose calls are the client's to run.

    `publisher` is that of the trajectory's speculation; it learns here to which response it posts. A server without the
    tool cache gives responses of one turn. `sampling.max_tokens` is per turn.
    """

    def __init__(
        self,
        client: ChatClient,
        sampling: Sampling,
        publisher: ToolCachePublisher,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        self._client = client
        self._sampling = sampling
        self._publisher = publisher
        self._extra_body = extra_body

    async def turns(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Generation, None]:
        """Yield the turns of one response. Raises BackendError when the server refuses, fails or breaks off."""
        sent_s = now_s()
        response = _Response(sent_s)
        address = self._publisher.open()
        try:
            chunks = self._client.stream(messages, tools, self._sampling, self._extra_body, address.headers)
            async with aclosing(chunks):
                async for chunk in chunks:
                    for turn in _executed_turns(chunk):
                        yield response.executed(turn)
                    response.builder.add(chunk, now_s())
        finally:
            self._publisher.close(address)
        yield response.last()


class _Response:
    """Adds up one response. A turn is sent, so to say, when the one before it has ended. When its first token came is
    not known: a stream that may be resident comes turn by turn."""

    def __init__(self, sent_s: float) -> None:
        self.builder = GenerationBuilder(sent_s=sent_s)
        self._turn_sent_s = sent_s
        self._num_generated = 0
        self._context: tuple[int, ...] | None = None

    def executed(self, turn: ExecutedTurn) -> Generation:
        """Return the generation of a turn that the engine executed."""
        context = turn.prompt_token_ids or self._context
        generation = Generation(
            content=turn.content,
            reasoning=turn.reasoning,
            tool_calls=turn.calls,
            finish_reason="tool_calls",
            sent_s=self._turn_sent_s,
            first_token_s=None,
            finished_s=now_s(),
            num_prompt_tokens=turn.num_prompt_tokens,
            num_output_tokens=turn.num_output_tokens,
            prompt_token_ids=context,
            output_token_ids=turn.token_ids,
            is_continued=True,
            observations=turn.outputs,
        )
        self._context = None
        if context is not None and turn.token_ids is not None and turn.result_token_ids is not None:
            self._context = (*context, *turn.token_ids, *turn.result_token_ids)
        self._num_generated += turn.num_output_tokens
        self._turn_sent_s = generation.finished_s
        return generation

    def last(self) -> Generation:
        """Return the generation of the last turn. Usage counts all turns (docs/residency.md)."""
        generation = self.builder.build(finished_s=now_s())
        num_prompt, num_output = generation.num_prompt_tokens, generation.num_output_tokens
        return replace(
            generation,
            sent_s=self._turn_sent_s,
            first_token_s=None,
            num_prompt_tokens=None if num_prompt is None else num_prompt + self._num_generated,
            num_output_tokens=None if num_output is None else num_output - self._num_generated,
        )


def _executed_turns(chunk: Any) -> Sequence[ExecutedTurn]:
    field = getattr(chunk, OPTIONS_FIELD, None)
    if field is None:
        return ()
    try:
        return parse_executed_turns(field)
    except (KeyError, TypeError, ValueError) as error:
        raise BackendError(
            f"The server sent executed turns that cannot be read ({type(error).__name__}: {error}); "
            "its precall must be of the client's version."
        ) from error
