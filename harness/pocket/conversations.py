"""From a task to what a pocket model learns: token ids by its own chat template, and which of them it writes."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, Template, Undefined
from tokenizers import Tokenizer

from harness.pocket.world import PocketTask, messages_of, tools_of

NOT_LEARNT = -100
"""Stands among labels for a token that the model does not write."""


class Conversation(NamedTuple):
    """`labels[i]` is `token_ids[i]` where the model writes it, else NOT_LEARNT."""

    token_ids: list[int]
    labels: list[int]


class Span(NamedTuple):
    """Tokens [start, end) of a conversation that are a call, or else a final answer."""

    start: int
    end: int
    is_call: bool


def chat_template(*, has_reasoning: bool) -> str:
    """Return the chat template of a model that reasons, or of one that calls at once and sees no reasoning."""
    text = Path(__file__).with_name("template.jinja").read_text(encoding="utf-8")
    return f"{{%- set has_reasoning = {str(has_reasoning).lower()} %}}\n{text}"


def written(task: PocketTask, *, has_reasoning: bool) -> str:
    """Return the whole conversation of a task as the chat template writes it."""
    messages, tools = messages_of(task), tools_of(task)
    return _template(has_reasoning).render(messages=messages, tools=tools, add_generation_prompt=False)


@functools.cache
def _template(has_reasoning: bool) -> Template:
    # As transformers and vLLM set it up; theirs looks the template up anew for each conversation, which takes longer.
    environment = Environment(trim_blocks=True, lstrip_blocks=True, undefined=Undefined)
    environment.filters["tojson"] = functools.partial(json.dumps, ensure_ascii=False)
    return environment.from_string(chat_template(has_reasoning=has_reasoning))


class ConversationEncoder:
    """Encodes conversations for one model of the family."""

    def __init__(self, tokenizer: Tokenizer, *, has_reasoning: bool) -> None:
        self._tokenizer = tokenizer
        self._has_reasoning = has_reasoning
        self._opening = self._ids("<|im_start|>assistant\n")
        self._turn_start, self._turn_end, self._call_start, self._thought_end = (
            self._ids(token)[0] for token in ("<|im_start|>", "<|im_end|>", "<tool_call>", "</think>")
        )

    def encode(self, tasks: Sequence[PocketTask]) -> list[Conversation]:
        """Return the tokens of whole conversations; the model writes its turns, each with its end token."""
        texts = [written(task, has_reasoning=self._has_reasoning) for task in tasks]
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [self._labelled(encoding.ids) for encoding in encodings]

    def spans(self, conversation: Conversation) -> list[Span]:
        """Return, per turn of the model, its call from `<tool_call>` on, or its answer, up to the end of the turn."""
        token_ids, labels = conversation
        found, start, is_call = [], 0, False
        for index, token_id in enumerate(token_ids):
            if labels[index] == NOT_LEARNT:
                start, is_call = index + 1, False
            elif token_id == self._thought_end and not is_call:
                start = index + 1
            elif token_id == self._call_start and not is_call:
                start, is_call = index, True
            elif token_id == self._turn_end:
                found.append(Span(start, index + 1, is_call))
        return found

    def _labelled(self, token_ids: list[int]) -> Conversation:
        labels = [NOT_LEARNT] * len(token_ids)
        num_opening = len(self._opening)
        index = 0
        while index < len(token_ids):
            if token_ids[index : index + num_opening] == self._opening:
                start = index + num_opening
                index = token_ids.index(self._turn_end, start) + 1
                labels[start:index] = token_ids[start:index]
            else:
                index += 1
        return Conversation(token_ids, labels)

    def _ids(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).ids
