"""What stands between a turn's end and the next turn, taken from the model's own chat template.

A conversation with a sentinel in each tool message is rendered; the text from the end of the assistant's turn to the
end of the generation prompt, cut at the sentinels, is what goes around the observations. Source: ours; the paper leaves
the tokens around an appended result open.
"""

import json
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from precall.engine.plain_tokens import PlainEncoder
from precall.errors import ConfigError

Render = Callable[[Any, list[dict[str, Any]], bool], Awaitable[str]]
"""(request, messages, whether the generation prompt is added) -> the prompt's text, before tokenization."""

_FIELDS = ("chat_template", "chat_template_kwargs", "documents", "reasoning_effort", "tools", "tool_choice")
_MAX_REMEMBERED = 64
# Shows whether a template trims, escapes or folds what a tool returned.
_TELL_TALE = "  \n'quoted' \"twice\" <b> {{ x }} \\n ü  "


class ResultTemplate:
    """Renders observations as the tokens that follow a turn. `turn_end` is the token that ends an assistant turn."""

    def __init__(self, tokenizer: Any, render: Render) -> None:
        self._tokenizer = tokenizer
        self._encoder = PlainEncoder(tokenizer)
        self._render = render
        self._pieces: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        if tokenizer.eos_token is None:
            raise ConfigError("The tokenizer has no eos_token; splicing needs to know what ends a turn.")
        self.turn_end: int = tokenizer.eos_token_id

    async def tokens(self, request: Any, texts: Sequence[str]) -> list[int]:
        """Return the tokens from after the turn's end token to where the next turn begins."""
        return self._encoder.encode(await self._pieces_for(request, len(texts)), texts)

    async def check(self, request: Any) -> None:
        """Raise ConfigError unless the chat template, for a request like this, can be spliced without loss."""
        first = await self._derive(request, ["f", "f"], _TELL_TALE)
        other = await self._derive(request, ["another_name", "third"], "plain")
        if first != other:
            raise ConfigError("The chat template renders a result differently for another tool or text.")
        await self._check_turn_end(request, first)
        text = "sentinel".join(first)
        stock = self._tokenizer.encode(text, add_special_tokens=False)
        if self._encoder.encode(first, ["sentinel"] * 2) != stock:
            raise ConfigError("The tokenizer treats the text around its added tokens in a way that splicing does not.")

    async def _pieces_for(self, request: Any, num_results: int) -> tuple[str, ...]:
        fields = {name: _plain(getattr(request, name, None)) for name in _FIELDS}
        key = json.dumps([num_results, fields], sort_keys=True, default=repr)
        if key not in self._pieces:
            self._pieces[key] = await self._derive(request, ["f"] * num_results, "")
            while len(self._pieces) > _MAX_REMEMBERED:
                self._pieces.popitem(last=False)
        self._pieces.move_to_end(key)
        return self._pieces[key]

    async def _derive(self, request: Any, names: Sequence[str], around: str) -> tuple[str, ...]:
        sentinels = [f"{around}{secrets.token_hex(16)}{around}" for _ in names]
        text = await self._render(request, _conversation(names, sentinels), True)
        if any(text.count(sentinel) != 1 for sentinel in sentinels):
            raise ConfigError("The chat template changes what a tool returned; splicing needs it verbatim, once.")
        start = text.rfind(self._tokenizer.eos_token, 0, text.index(sentinels[0]))
        if start < 0:
            raise ConfigError(f"The chat template ends no turn with {self._tokenizer.eos_token!r}, the eos_token.")
        rest = text[start + len(self._tokenizer.eos_token) :]
        pieces: list[str] = []
        for sentinel in sentinels:
            piece, found, rest = rest.partition(sentinel)
            if not found:
                raise ConfigError("The chat template does not keep the order of the tools' results.")
            pieces.append(piece)
        return (*pieces, rest)

    async def _check_turn_end(self, request: Any, pieces: Sequence[str]) -> None:
        """The end token found before the results is the one that ends the assistant's turn."""
        text = await self._render(request, _conversation(["f", "f"], []), False)
        _, _, after = text.rpartition(self._tokenizer.eos_token)
        if not pieces[0].startswith(after):
            raise ConfigError("The chat template changes the assistant's turn once results follow it.")


def _conversation(names: Sequence[str], results: Sequence[str]) -> list[dict[str, Any]]:
    ids = [f"call_{index}_{name}" for index, name in enumerate(names)]
    calls = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": "{}"}}
        for call_id, name in zip(ids, names, strict=True)
    ]
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y", "tool_calls": calls}]
    tools = [{"role": "tool", "tool_call_id": ids[index], "content": text} for index, text in enumerate(results)]
    return [*messages, *tools]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.model_dump() if hasattr(value, "model_dump") else value
