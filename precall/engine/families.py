"""The families of models that can be resident: what differs between hermes and harmony (gpt-oss), in one place.

What stands between a turn's end and the next turn is no part of it: template.py takes that from vLLM's own rendering.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from precall.engine.call_styles import HARMONY, HERMES, CallStyle, hermes_style
from precall.errors import ConfigError

FAMILIES = ("hermes", "openai")
"""Tool-call parsers whose models have been tested with residency."""


class Family(Protocol):
    """How a family of models ends a turn with calls, and how it writes a call.

    `turn_end` is the token that ends such a turn, `opener` the tokens with which a call begins.
    """

    turn_end: int
    opener: tuple[int, ...]

    def call_styles(self, rendered: str, name: str, arguments: Mapping[str, Any]) -> tuple[CallStyle, ...]:
        """Return the styles in which its models write calls, the likeliest first. `rendered` is a conversation that
        ends in this call, as the model's chat template writes it."""
        ...


class Hermes:
    def __init__(self, tokenizer: Any) -> None:
        if tokenizer.eos_token is None:
            raise ConfigError("The tokenizer has no eos_token; splicing needs to know what ends a turn.")
        self.turn_end: int = tokenizer.eos_token_id
        self.opener = tuple(tokenizer.encode("<tool_call>", add_special_tokens=False))

    def call_styles(self, rendered: str, name: str, arguments: Mapping[str, Any]) -> tuple[CallStyle, ...]:
        return tuple(dict.fromkeys((hermes_style(rendered, name, arguments), *HERMES)))


class Harmony:
    def __init__(self, tokenizer: Any) -> None:
        added = tokenizer.get_added_vocab()
        if "<|call|>" not in added:
            raise ConfigError("The tokenizer has no <|call|>, which ends a turn with calls in harmony.")
        self.turn_end: int = added["<|call|>"]
        self.opener = tuple(tokenizer.encode("<|channel|>commentary", add_special_tokens=False))

    def call_styles(self, rendered: str, name: str, arguments: Mapping[str, Any]) -> tuple[CallStyle, ...]:
        return HARMONY


def family_of(tool_parser: str, tokenizer: Any) -> Family:
    """Return the family of a tool-call parser. Raises ConfigError for a tokenizer that is not of the family."""
    assert tool_parser in FAMILIES, f"{tool_parser} was checked against FAMILIES"
    return Harmony(tokenizer) if tool_parser == "openai" else Hermes(tokenizer)
