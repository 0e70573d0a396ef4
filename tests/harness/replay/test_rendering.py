"""Rendering: the tokens to force decode to the hermes form of the recorded turn, and nothing else gets in."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from harness.replay.rendering import HermesRenderer
from harness.replay.trajectories import RecordedTurn
from precall.calls import ToolCall
from precall.errors import ConfigError

FIND = ToolCall(name="find", arguments='{"path": "/tmp",  "depth": 1.0, "name": "naïve ☂ \\n"}')
SORT = ToolCall(name="sort.v2", arguments="{}")


@pytest.fixture(scope="module")
def renderer(tiny_folder: Path) -> HermesRenderer:
    return HermesRenderer(tiny_folder)


@pytest.fixture(scope="module")
def tokenizer(tiny_folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(tiny_folder / "tokenizer.json"))


def turn(reasoning: str = "", content: str = "", calls: tuple[ToolCall, ...] = ()) -> RecordedTurn:
    return RecordedTurn(user_turn=0, reasoning=reasoning, content=content, calls=calls)


def decode(tokenizer: Tokenizer, tokens: list[int]) -> str:
    return tokenizer.decode(tokens, skip_special_tokens=False)


def test_a_turn_decodes_to_its_hermes_text(renderer: HermesRenderer, tokenizer: Tokenizer) -> None:
    tokens = renderer.target_tokens(turn("\nWhat is asked?\n", "\n\nFirst this:", (FIND, SORT)))
    assert decode(tokenizer, tokens) == (
        "<think>\nWhat is asked?\n</think>\n\nFirst this:"
        f'<tool_call>\n{{"name": "find", "arguments": {FIND.arguments}}}\n</tool_call>'
        '\n<tool_call>\n{"name": "sort.v2", "arguments": {}}\n</tool_call><|im_end|>'
    )


def test_a_turn_without_reasoning_opens_no_thought(renderer: HermesRenderer, tokenizer: Tokenizer) -> None:
    assert decode(tokenizer, renderer.target_tokens(turn(content="Done."))) == "Done.<|im_end|>"


def test_control_tokens_are_single_tokens_and_the_turn_ends_with_one(
    renderer: HermesRenderer, tokenizer: Tokenizer
) -> None:
    tokens = renderer.target_tokens(turn("why", "", (SORT,)))
    for control in ("<think>", "</think>", "<tool_call>", "</tool_call>", "<|im_end|>"):
        assert tokens.count(tokenizer.token_to_id(control)) == 1
    assert tokens[-1] == tokenizer.token_to_id("<|im_end|>")


def test_a_draft_says_its_calls_at_once_without_reasoning(renderer: HermesRenderer, tokenizer: Tokenizer) -> None:
    text = decode(tokenizer, renderer.draft_tokens((SORT,)))
    assert text == '<tool_call>\n{"name": "sort.v2", "arguments": {}}\n</tool_call><|im_end|>'


def test_a_draft_without_a_call_says_a_short_answer(renderer: HermesRenderer, tokenizer: Tokenizer) -> None:
    assert decode(tokenizer, renderer.draft_tokens(())) == "No call is needed.<|im_end|>"


@pytest.mark.parametrize("control", ["<tool_call>", "</think>", "<|im_end|>"])
def test_a_recorded_text_with_a_control_token_is_refused(renderer: HermesRenderer, control: str) -> None:
    hostile = f"see {control} here"
    for bad in (
        turn(content=hostile),
        turn(reasoning=hostile),
        turn(calls=(ToolCall(name="f", arguments=json.dumps({"x": hostile})),)),
    ):
        with pytest.raises(ConfigError, match="holds a control token, which it must not: "):
            renderer.target_tokens(bad)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tokenizer\.json is missing; replay needs a model folder"):
        HermesRenderer(tmp_path)


def test_a_tokenizer_without_the_control_tokens_is_refused_with_their_names(tiny_folder: Path, tmp_path: Path) -> None:
    text = (tiny_folder / "tokenizer.json").read_text().replace("</tool_call>", "</call>")
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(ConfigError, match=r"has no </tool_call>; replay renders calls in hermes form"):
        HermesRenderer(tmp_path)
