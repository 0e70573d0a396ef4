"""What stands between a turn's end and the next turn, taken from vLLM's own rendering of a chat.

A conversation is rendered with a sentinel for each tool's name and each result; the text from the end of the
assistant's turn to the end of the prompt, cut at the sentinels, is what goes around names and observations. Source:
ours; the paper leaves the tokens around an appended result open.
"""

import json
import re
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from precall.engine.families import Family
from precall.engine.plain_tokens import PlainEncoder
from precall.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A chat as vLLM renders it."""

    text: str
    token_ids: tuple[int, ...]


Render = Callable[[Any, list[dict[str, Any]], bool], Awaitable[Rendered]]
"""(request, messages, whether the next turn is asked for) -> the prompt."""

_FIELDS = ("chat_template", "chat_template_kwargs", "documents", "reasoning_effort", "tools", "tool_choice")
_MAX_REMEMBERED = 64
# Shows whether a template trims, escapes or folds what a tool returned.
_TELL_TALE = "  \n'quoted' \"twice\" <b> {{ x }} \\n ü  "


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """`pieces` with a blank between each two; blank i takes `blanks[i]`: a call's name or its result."""

    pieces: tuple[str, ...]
    blanks: tuple[tuple[str, int], ...]

    def fill(self, names: Sequence[str], texts: Sequence[str]) -> list[str]:
        values = {"name": names, "result": texts}
        return [values[kind][index] for kind, index in self.blanks]


class ResultTemplate:
    """Renders observations as the tokens that follow a turn which ends in calls."""

    def __init__(self, tokenizer: Any, family: Family, render: Render) -> None:
        self._encoder = PlainEncoder(tokenizer)
        self._render = render
        self._forms: OrderedDict[str, _Form] = OrderedDict()
        self._turn_end_text: str = tokenizer.convert_ids_to_tokens(family.turn_end)
        self.turn_end = family.turn_end

    async def tokens(self, request: Any, names: Sequence[str], texts: Sequence[str]) -> list[int]:
        """Return the tokens from after the turn's end token to where the next turn begins.

        `names` are those of the turn's calls, `texts` what they returned; neither becomes a control token.
        """
        form = await self._form_for(request, len(texts))
        return self._encoder.encode(form.pieces, form.fill(names, texts))

    async def check(self, request: Any) -> None:
        """Raise ConfigError unless chats, for a request like this, can be spliced without loss."""
        form = await self._derive(request, 2, _TELL_TALE)
        if form != await self._derive(request, 2, "plain"):
            raise ConfigError("The chat template renders a result differently for another tool or text.")
        names, texts = ("get_weather", "other.tool-2"), ("sentinel", _TELL_TALE)
        messages = _conversation(names, texts)
        results = (await self._render(request, messages, True)).token_ids
        turn = (await self._render(request, messages[:-2], False)).token_ids
        tail = self._encoder.encode(form.pieces, form.fill(names, texts))
        if list(results[-len(tail) :]) != tail:
            raise ConfigError("The tokenizer treats the text around its added tokens in a way that splicing does not.")
        # Templates may write a turn otherwise once results follow it, but the end before them must be the turn's.
        if results[: -len(tail)].count(self.turn_end) != turn.count(self.turn_end):
            raise ConfigError("The chat template ends another turn between the assistant's and the results.")

    async def _form_for(self, request: Any, num_results: int) -> _Form:
        fields = {name: _plain(getattr(request, name, None)) for name in _FIELDS}
        key = json.dumps([num_results, fields], sort_keys=True, default=repr)
        if key not in self._forms:
            self._forms[key] = await self._derive(request, num_results, "")
            while len(self._forms) > _MAX_REMEMBERED:
                self._forms.popitem(last=False)
        self._forms.move_to_end(key)
        return self._forms[key]

    async def _derive(self, request: Any, num_results: int, around: str) -> _Form:
        names = [f"f{secrets.token_hex(16)}" for _ in range(num_results)]
        results = [f"{around}{secrets.token_hex(16)}{around}" for _ in range(num_results)]
        content = secrets.token_hex(16)
        text = (await self._render(request, _conversation(names, results, content), True)).text
        if any(text.count(result) != 1 for result in results):
            raise ConfigError("The chat template changes what a tool returned; splicing needs it verbatim, once.")
        start = text.rfind(self._turn_end_text, 0, text.index(results[0]))
        if start < 0:
            raise ConfigError(f"The chat template ends no turn with {self._turn_end_text!r}.")
        if content in text[start:]:
            raise ConfigError(f"The chat template ends a turn with calls otherwise than with {self._turn_end_text!r}.")
        blanks = {name: ("name", index) for index, name in enumerate(names)}
        blanks |= {result: ("result", index) for index, result in enumerate(results)}
        parts = re.split(f"({'|'.join(map(re.escape, blanks))})", text[start + len(self._turn_end_text) :])
        form = _Form(pieces=tuple(parts[::2]), blanks=tuple(blanks[part] for part in parts[1::2]))
        if [index for kind, index in form.blanks if kind == "result"] != list(range(num_results)):
            raise ConfigError("The chat template does not keep the order of the tools' results.")
        return form


def _conversation(names: Sequence[str], results: Sequence[str], content: str = "y") -> list[dict[str, Any]]:
    ids = [f"call_{secrets.token_hex(8)}" for _ in names]
    calls = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": "{}"}}
        for call_id, name in zip(ids, names, strict=True)
    ]
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": content, "tool_calls": calls}]
    tools = [{"role": "tool", "tool_call_id": ids[index], "content": text} for index, text in enumerate(results)]
    return [*messages, *tools]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.model_dump() if hasattr(value, "model_dump") else value
