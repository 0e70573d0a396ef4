"""From the chunks of a chat-completions stream to one finished generation."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from precall.calls import ToolCall
from precall.usage import Usage
from precall.wire import OPTIONS_FIELD


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What a model generated in one turn.

    Times are on the event loop's clock: request sent, first token, end of the stream (seconds). Token ids are present
    only if the server was asked for them and returns them. `is_continued` says that the response goes on with another
    turn, as that of a resident sequence does; `observations` are then what the engine has put behind the calls, one per
    call, None where the calls are still to be run.
    """

    content: str
    reasoning: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str | None
    sent_s: float
    first_token_s: float | None
    finished_s: float
    num_prompt_tokens: int | None = None
    num_output_tokens: int | None = None
    prompt_token_ids: tuple[int, ...] | None = None
    output_token_ids: tuple[int, ...] | None = None
    num_cached_prompt_tokens: int | None = None
    num_reasoning_tokens: int | None = None
    is_continued: bool = False
    observations: tuple[str, ...] | None = None

    @property
    def prompt_hash(self) -> str | None:
        """A hash of the prompt's token ids as the engine received them."""
        return None if self.prompt_token_ids is None else hash_token_ids(self.prompt_token_ids)

    @property
    def output_hash(self) -> str | None:
        """A hash of the token ids that the model generated."""
        return None if self.output_token_ids is None else hash_token_ids(self.output_token_ids)

    def to_message(self) -> dict[str, Any]:
        """Return the assistant message that stands for this generation in the history.

        `reasoning` is included when the server sent it apart; what of it enters the next prompt is up to the model's
        chat template.
        """
        message: dict[str, Any] = {"role": "assistant", "content": self.content or None}
        if self.reasoning:
            message["reasoning"] = self.reasoning
        if self.tool_calls:
            message["tool_calls"] = [
                {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in self.tool_calls
            ]
        elif message["content"] is None:
            message["content"] = ""
        return message


def hash_token_ids(token_ids: Sequence[int]) -> str:
    """Return 16 hexadecimal digits that stand for a sequence of token ids."""
    return hashlib.sha256(",".join(map(str, token_ids)).encode()).hexdigest()[:16]


def has_token(chunk: Any) -> bool:
    """Whether an OpenAI `ChatCompletionChunk` brings any part of an answer, an executed turn or its end."""
    return getattr(chunk, OPTIONS_FIELD, None) is not None or any(
        choice.finish_reason or getattr(choice, "token_ids", None) or _has_text(choice.delta)
        for choice in chunk.choices
    )


def _has_text(delta: Any) -> bool:
    names = ("content", "refusal", "tool_calls", "reasoning", "reasoning_content")
    return any(getattr(delta, name, None) for name in names)


class GenerationBuilder:
    """Adds up the chunks of one stream, or of one of its choices, in the order of arrival. `add` takes OpenAI
    `ChatCompletionChunk` objects."""

    def __init__(self, sent_s: float) -> None:
        self.sent_s = sent_s
        self._first_token_s: float | None = None
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, dict[str, str]] = {}
        self._finish_reason: str | None = None
        self._usage = Usage()
        self._prompt_token_ids: tuple[int, ...] | None = None
        self._output_token_ids: list[int] | None = None

    def add(self, chunk: Any, time_s: float) -> None:
        prompt_token_ids = getattr(chunk, "prompt_token_ids", None)
        if prompt_token_ids is not None:
            self._prompt_token_ids = tuple(prompt_token_ids)
        self._usage = self._usage if chunk.usage is None else Usage.parse(chunk.usage)
        for choice in chunk.choices:
            self.add_choice(choice, time_s)

    def add_choice(self, choice: Any, time_s: float) -> None:
        """Add a chunk's part of one choice; by itself it tells nothing of the prompt nor of the usage."""
        delta = choice.delta
        reasoning = getattr(delta, "reasoning", None) or getattr(delta, "reasoning_content", None)
        token_ids = getattr(choice, "token_ids", None)
        if self._first_token_s is None and (delta.content or reasoning or delta.tool_calls or token_ids):
            self._first_token_s = time_s
        if token_ids is not None:
            self._output_token_ids = (self._output_token_ids or []) + list(token_ids)
        if delta.content:
            self._content.append(delta.content)
        if reasoning:
            self._reasoning.append(reasoning)
        for part in delta.tool_calls or ():
            self._add_call_part(part)
        self._finish_reason = choice.finish_reason or self._finish_reason

    def _add_call_part(self, part: Any) -> None:
        call = self._calls.setdefault(part.index, {"id": "", "name": "", "arguments": ""})
        call["id"] = part.id or call["id"]
        if part.function is not None:
            call["name"] += part.function.name or ""
            call["arguments"] += part.function.arguments or ""

    def complete_calls(self) -> tuple[ToolCall, ...]:
        """Return the calls that nothing can be added to: all but the one that is being written, and that one, too, once
        its arguments are a whole JSON object."""
        calls = self.calls()
        return calls if not calls or _is_whole_object(calls[-1].arguments) else calls[:-1]

    def calls(self) -> tuple[ToolCall, ...]:
        """Return the calls as far as they are written."""
        calls = (self._calls[index] for index in sorted(self._calls))
        return tuple(ToolCall(name=c["name"], arguments=c["arguments"], call_id=c["id"]) for c in calls)

    def build(self, finished_s: float) -> Generation:
        """Return the generation. Call it once, after the stream has ended."""
        return Generation(
            content="".join(self._content),
            reasoning="".join(self._reasoning),
            tool_calls=self.calls(),
            finish_reason=self._finish_reason,
            sent_s=self.sent_s,
            first_token_s=self._first_token_s,
            finished_s=finished_s,
            num_prompt_tokens=self._usage.num_prompt_tokens,
            num_output_tokens=self._usage.num_output_tokens,
            prompt_token_ids=self._prompt_token_ids,
            output_token_ids=None if self._output_token_ids is None else tuple(self._output_token_ids),
            num_cached_prompt_tokens=self._usage.num_cached_prompt_tokens,
            num_reasoning_tokens=self._usage.num_reasoning_tokens,
        )


def _is_whole_object(text: str) -> bool:
    if not text.rstrip().endswith("}"):
        return False
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
