"""Rendering: the tokens to force decode to the recorded turn in its model's form, and nothing else gets in."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from harness.replay.rendering import HarmonyRenderer, HermesRenderer
from harness.replay.trajectories import RecordedTurn
from precall.calls import ToolCall
from precall.errors import ConfigError
from tests.gpt_oss import gpt_oss_folder

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


@pytest.fixture(scope="module")
def harmony() -> HarmonyRenderer:
    return HarmonyRenderer(gpt_oss_folder())


@pytest.fixture(scope="module")
def harmony_tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(gpt_oss_folder() / "tokenizer.json"))


def test_a_turn_decodes_to_its_harmony_text(harmony: HarmonyRenderer, harmony_tokenizer: Tokenizer) -> None:
    tokens = harmony.target_tokens(turn("What is asked?", "First this:", (FIND,)))
    assert decode(harmony_tokenizer, tokens) == (
        "<|channel|>analysis<|message|>What is asked?<|end|><|start|>assistant"
        "<|channel|>commentary<|message|>First this:<|end|><|start|>assistant"
        f"<|channel|>commentary to=functions.find <|constrain|>json<|message|>{FIND.arguments}<|call|>"
    )


def test_an_answer_is_in_harmonys_final_channel(harmony: HarmonyRenderer, harmony_tokenizer: Tokenizer) -> None:
    assert decode(harmony_tokenizer, harmony.target_tokens(turn(content="Done."))) == (
        "<|channel|>final<|message|>Done.<|return|>"
    )
    assert decode(harmony_tokenizer, harmony.draft_tokens(())) == (
        "<|channel|>final<|message|>No call is needed.<|return|>"
    )


def test_white_space_before_a_call_is_no_message_in_harmony(
    harmony: HarmonyRenderer, harmony_tokenizer: Tokenizer
) -> None:
    assert harmony.target_tokens(turn(content="\n\n", calls=(SORT,))) == harmony.draft_tokens((SORT,))
    assert decode(harmony_tokenizer, harmony.draft_tokens((SORT,))) == (
        "<|channel|>commentary to=functions.sort.v2 <|constrain|>json<|message|>{}<|call|>"
    )


def test_harmonys_control_tokens_are_single_tokens(harmony: HarmonyRenderer, harmony_tokenizer: Tokenizer) -> None:
    tokens = harmony.target_tokens(turn("why", "", (SORT,)))
    names = ("<|start|>", "<|end|>", "<|constrain|>", "<|call|>")
    assert [tokens.count(harmony_tokenizer.token_to_id(name)) for name in names] == [1, 1, 1, 1]


def test_a_turn_with_several_calls_has_no_harmony_form(harmony: HarmonyRenderer) -> None:
    with pytest.raises(ConfigError, match=r"2 calls \(find, sort.v2\).*ends with its first"):
        harmony.target_tokens(turn(calls=(FIND, SORT)))
    with pytest.raises(ConfigError, match="2 calls"):
        harmony.draft_tokens((FIND, SORT))


@pytest.mark.parametrize("control", ["<|call|>", "<|start|>", "<|endoftext|>"])
def test_a_recorded_text_with_a_control_token_of_harmony_is_refused(harmony: HarmonyRenderer, control: str) -> None:
    hostile = f"see {control} here"
    for bad in (
        turn(content=hostile),
        turn(reasoning=hostile),
        turn(calls=(ToolCall(name="f", arguments=json.dumps({"x": hostile})),)),
        turn(calls=(ToolCall(name=hostile, arguments="{}"),)),
    ):
        with pytest.raises(ConfigError, match="holds a control token, which it must not: "):
            harmony.target_tokens(bad)
