"""The hermes form in tokens, made here and not by the engine side, so that the two can be held against each other."""

import json
import re
from pathlib import Path

from tokenizers import Tokenizer

from precall.calls import ToolCall, parse_arguments, parse_strict_json

_CALL = re.compile(r"<tool_call>\n(.*)\n</tool_call>", re.DOTALL)


class HermesTokens:
    """Text to tokens for the model in `folder`: what a model writes, and what stands for a tool's result."""

    def __init__(self, folder: Path) -> None:
        text = (folder / "tokenizer.json").read_text(encoding="utf-8")
        self._tokenizer = Tokenizer.from_str(text)
        self._plain = Tokenizer.from_str(json.dumps(json.loads(text) | {"added_tokens": []}))

    def written(self, text: str) -> list[int]:
        """Return the tokens of template or model text; what looks like a control token is one."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def result(self, text: str) -> list[int]:
        """Return the tokens from after a turn to where the next begins; in `text` nothing is a control token."""
        before = self.written("\n<|im_start|>user\n<tool_response>")
        after = self.written("</tool_response><|im_end|>\n<|im_start|>assistant\n")
        return [*before, *self._plain.encode(f"\n{text}\n", add_special_tokens=False).ids, *after]

    def text(self, token_ids: list[int]) -> str:
        """Return the text of tokens, control tokens included."""
        return self._tokenizer.decode(token_ids, skip_special_tokens=False)


def call_of(text: str) -> ToolCall | None:
    """Return the call that a turn ends in; None when there is not exactly one, well-formed, at its end."""
    _, *calls = text.removesuffix("<|im_end|>").split("<tool_call>")
    found = _CALL.fullmatch(f"<tool_call>{calls[0]}") if len(calls) == 1 else None
    try:
        written = parse_strict_json(found.group(1)) if found else None
        if not isinstance(written, dict) or written.keys() != {"name", "arguments"} or type(written["name"]) is not str:
            return None
        call = ToolCall(name=written["name"], arguments=json.dumps(written["arguments"], ensure_ascii=False))
        parse_arguments(call)
    except ValueError:
        return None
    return call
