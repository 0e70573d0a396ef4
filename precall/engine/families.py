"""The families of models that can be resident: what differs between hermes and harmony (gpt-oss), in one place.

What stands between a turn's end and the next turn is no part of it: template.py takes that from vLLM's own rendering.
"""

import json
from dataclasses import dataclass
from typing import Any, Protocol

from precall.calls import ToolCall
from precall.errors import ConfigError

FAMILIES = ("hermes", "openai")
"""Tool-call parsers whose models have been tested with residency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallText:
    """A call as a model writes it: `texts`, which can hold no control token, between `pieces`, which may."""

    pieces: tuple[str, ...]
    texts: tuple[str, ...]


class Family(Protocol):
    """How a family of models ends a turn with calls, and how it writes a call.

    `turn_end` is the token that ends such a turn, `opener` the tokens with which a call begins.
    """

    turn_end: int
    opener: tuple[int, ...]

    def call_text(self, call: ToolCall) -> CallText:
        """Return a turn's only call, from behind the opener to before the turn's end."""
        ...


class Hermes:
    def __init__(self, tokenizer: Any) -> None:
        if tokenizer.eos_token is None:
            raise ConfigError("The tokenizer has no eos_token; splicing needs to know what ends a turn.")
        self.turn_end: int = tokenizer.eos_token_id
        self.opener = tuple(tokenizer.encode("<tool_call>", add_special_tokens=False))

    def call_text(self, call: ToolCall) -> CallText:
        pieces = ('\n{"name": ', ', "arguments": ', "}\n</tool_call>")
        return CallText(pieces=pieces, texts=(json.dumps(call.name, ensure_ascii=False), call.arguments))


class Harmony:
    def __init__(self, tokenizer: Any) -> None:
        added = tokenizer.get_added_vocab()
        if "<|call|>" not in added:
            raise ConfigError("The tokenizer has no <|call|>, which ends a turn with calls in harmony.")
        self.turn_end: int = added["<|call|>"]
        self.opener = tuple(tokenizer.encode("<|channel|>commentary", add_special_tokens=False))

    def call_text(self, call: ToolCall) -> CallText:
        pieces = (" to=functions.", " <|constrain|>json<|message|>", "")
        return CallText(pieces=pieces, texts=(call.name, call.arguments))


def family_of(tool_parser: str, tokenizer: Any) -> Family:
    """Return the family of a tool-call parser. Raises ConfigError for a tokenizer that is not of the family."""
    assert tool_parser in FAMILIES, f"{tool_parser} was checked against FAMILIES"
    return Harmony(tokenizer) if tool_parser == "openai" else Hermes(tokenizer)
