"""From a recorded turn to the tokens that a target or a draft must generate, in the form of the model's family."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tokenizers import Tokenizer

from harness.replay.trajectories import RecordedTurn
from precall.calls import ToolCall
from precall.errors import ConfigError

NO_CALL = "No call is needed."


class Renderer(Protocol):
    def target_tokens(self, turn: RecordedTurn) -> list[int]:
        """Return what the target generates in `turn`, from reasoning to end of turn. Raises ConfigError for a turn
        that the form cannot express."""
        ...

    def draft_tokens(self, calls: Sequence[ToolCall]) -> list[int]:
        """Return what the draft generates for one sample: its calls at once, or a short answer when it has none."""
        ...

    def num_tokens(self, text: str) -> int:
        """Return how many tokens a plain text has."""
        ...


class ControlledTokenizer:
    """A model folder's tokenizer that keeps control tokens and recorded text apart."""

    def __init__(self, model_folder: Path, control_tokens: Sequence[str], form: str) -> None:
        file = model_folder / "tokenizer.json"
        if not file.exists():
            raise ConfigError(f"{file} is missing; replay needs a model folder with a tokenizer.json.")
        self._tokenizer = Tokenizer.from_file(str(file))
        ids = {token: self._tokenizer.token_to_id(token) for token in control_tokens}
        missing = [token for token in control_tokens if ids[token] is None]
        if missing:
            raise ConfigError(f"The tokenizer {file} has no {', '.join(missing)}; replay renders calls in {form} form.")
        self._control_ids = {token: token_id for token, token_id in ids.items() if token_id is not None}

    def control(self, token: str) -> int:
        return self._control_ids[token]

    def num_tokens(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def plain(self, text: str) -> list[int]:
        """Return the tokens of a recorded text. Raises ConfigError when a control token is among them."""
        tokens = self._tokenizer.encode(text, add_special_tokens=False).ids if text else []
        if not set(self._control_ids.values()).isdisjoint(tokens):
            raise ConfigError(f"A recorded text holds a control token, which it must not: {text[:200]!r}.")
        return tokens


class HermesRenderer:
    """Renders turns for a model folder whose tokenizer knows the hermes and Qwen3 control tokens."""

    CONTROL_TOKENS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<|im_end|>")

    def __init__(self, model_folder: Path) -> None:
        self._tokenizer = ControlledTokenizer(model_folder, self.CONTROL_TOKENS, "hermes")

    def target_tokens(self, turn: RecordedTurn) -> list[int]:
        control, plain = self._tokenizer.control, self._tokenizer.plain
        tokens = [control("<think>"), *plain(turn.reasoning), control("</think>")] if turn.reasoning else []
        return tokens + self._answer(turn.content, turn.calls)

    def draft_tokens(self, calls: Sequence[ToolCall]) -> list[int]:
        return self._answer("" if calls else NO_CALL, calls)

    def num_tokens(self, text: str) -> int:
        return self._tokenizer.num_tokens(text)

    def _answer(self, content: str, calls: Sequence[ToolCall]) -> list[int]:
        control, plain = self._tokenizer.control, self._tokenizer.plain
        tokens = plain(content)
        for index, call in enumerate(calls):
            if index:
                tokens += plain("\n")
            text = f'\n{{"name": {json.dumps(call.name)}, "arguments": {call.arguments}}}\n'
            tokens += [control("<tool_call>"), *plain(text), control("</tool_call>")]
        return [*tokens, control("<|im_end|>")]


class HarmonyRenderer:
    """Renders turns for a model folder whose tokenizer is gpt-oss's.

    What a turn generates begins after `<|start|>assistant`, which is in the prompt. A turn ends with its first call.
    """

    CONTROL_TOKENS = (
        *("<|start|>", "<|channel|>", "<|constrain|>", "<|message|>"),
        *("<|end|>", "<|call|>", "<|return|>", "<|endoftext|>"),
    )

    def __init__(self, model_folder: Path) -> None:
        self._tokenizer = ControlledTokenizer(model_folder, self.CONTROL_TOKENS, "harmony")

    def target_tokens(self, turn: RecordedTurn) -> list[int]:
        tokens = self._remark("analysis", turn.reasoning) if turn.reasoning else []
        if not turn.calls:
            return tokens + self._message("final", turn.content, "<|return|>")
        if turn.content.strip():  # white space alone is what other forms have between reasoning and call
            tokens += self._remark("commentary", turn.content)
        return tokens + self._call(turn.calls)

    def draft_tokens(self, calls: Sequence[ToolCall]) -> list[int]:
        return self._call(calls) if calls else self._message("final", NO_CALL, "<|return|>")

    def num_tokens(self, text: str) -> int:
        return self._tokenizer.num_tokens(text)

    def _call(self, calls: Sequence[ToolCall]) -> list[int]:
        if len(calls) != 1:
            what = f"A recorded turn or sample has {len(calls)} calls ({', '.join(call.name for call in calls)})"
            raise ConfigError(f"{what}; in harmony form a turn ends with its first. Record one call per turn.")
        control, plain = self._tokenizer.control, self._tokenizer.plain
        header = [*plain(f"commentary to=functions.{calls[0].name} "), control("<|constrain|>"), *plain("json")]
        body = [control("<|message|>"), *plain(calls[0].arguments), control("<|call|>")]
        return [control("<|channel|>"), *header, *body]

    def _remark(self, channel: str, text: str) -> list[int]:
        following = [self._tokenizer.control("<|start|>"), *self._tokenizer.plain("assistant")]
        return self._message(channel, text, "<|end|>") + following

    def _message(self, channel: str, text: str, end: str) -> list[int]:
        control, plain = self._tokenizer.control, self._tokenizer.plain
        header = [control("<|channel|>"), *plain(channel), control("<|message|>")]
        return [*header, *plain(text), control(end)]
