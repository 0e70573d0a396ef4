"""From a recorded turn to the tokens that a target or a draft must generate, in the hermes form of Qwen3."""

import json
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from harness.replay.trajectories import RecordedTurn
from precall.calls import ToolCall
from precall.errors import ConfigError

END_OF_TURN = "<|im_end|>"
CONTROL_TOKENS = ("<think>", "</think>", "<tool_call>", "</tool_call>", END_OF_TURN)


class HermesRenderer:
    """Renders turns for a model folder whose tokenizer knows the hermes and Qwen3 control tokens."""

    def __init__(self, model_folder: Path) -> None:
        file = model_folder / "tokenizer.json"
        if not file.exists():
            raise ConfigError(f"{file} is missing; replay needs a model folder with a tokenizer.json.")
        self._tokenizer = Tokenizer.from_file(str(file))
        missing = [token for token in CONTROL_TOKENS if self._tokenizer.token_to_id(token) is None]
        if missing:
            raise ConfigError(f"The tokenizer {file} has no {', '.join(missing)}; replay renders calls in hermes form.")
        self._control_ids = {self._tokenizer.token_to_id(token) for token in CONTROL_TOKENS}

    def target_tokens(self, turn: RecordedTurn) -> list[int]:
        """Return what the target generates in `turn`: reasoning, content, calls, end of turn."""
        tokens: list[int] = []
        if turn.reasoning:
            tokens += [self._control("<think>"), *self._plain(turn.reasoning), self._control("</think>")]
        return tokens + self._answer(turn.content, turn.calls)

    def draft_tokens(self, calls: Sequence[ToolCall]) -> list[int]:
        """Return what the draft generates for one sample: its calls at once, or a short answer when it has none."""
        return self._answer("" if calls else "No call is needed.", calls)

    def _answer(self, content: str, calls: Sequence[ToolCall]) -> list[int]:
        tokens = self._plain(content)
        for index, call in enumerate(calls):
            if index:
                tokens += self._plain("\n")
            text = f'\n{{"name": {json.dumps(call.name)}, "arguments": {call.arguments}}}\n'
            tokens += [self._control("<tool_call>"), *self._plain(text), self._control("</tool_call>")]
        return [*tokens, self._control(END_OF_TURN)]

    def _control(self, token: str) -> int:
        token_id = self._tokenizer.token_to_id(token)
        assert token_id is not None, f"{token} was found when the renderer was made"
        return token_id

    def _plain(self, text: str) -> list[int]:
        tokens = self._tokenizer.encode(text, add_special_tokens=False).ids if text else []
        if self._control_ids.intersection(tokens):
            raise ConfigError(f"A recorded text holds a control token, which it must not: {text[:200]!r}.")
        return tokens
