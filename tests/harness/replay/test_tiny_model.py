"""The model replay_tiny: made once from its recipe, with a template that says what the renderer forces."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from harness.replay import tiny_model
from harness.replay.rendering import HermesRenderer
from harness.replay.tiny_model import TinyArchitecture, make_tiny_model
from harness.replay.trajectories import RecordedTurn
from precall.calls import ToolCall

SMALL = TinyArchitecture(hidden_size=32, num_layers=1, num_heads=2, head_size=16, ff_size=64, vocab_size=600)
FIND = ToolCall(name="find", arguments='{"path": "/tmp", "depth": 2, "name": "naïve"}', call_id="c1")
SORT = ToolCall(name="sort", arguments="{}", call_id="c2")
TOOLS = [{"type": "function", "function": {"name": "find", "description": "Finds.", "parameters": {"type": "object"}}}]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(SMALL, tmp_path_factory.mktemp("cache"))


def test_the_same_recipe_gives_the_same_folder_and_bytes(small: Path, tmp_path: Path) -> None:
    again = make_tiny_model(SMALL, tmp_path)
    assert again.name == small.name
    assert contents(again) == contents(small)
    assert list(tmp_path.iterdir()) == [again]


def test_a_folder_that_is_there_is_used_as_it_is(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_model, "_train_tokenizer", lambda *_: pytest.fail("the tokenizer was trained again"))
    assert make_tiny_model(SMALL, small.parent) == small


def test_another_size_or_another_template_is_another_folder(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_model, "_train_tokenizer", lambda *_: Tokenizer.from_file(str(small / "tokenizer.json")))
    larger = TinyArchitecture(hidden_size=64, num_layers=1, num_heads=2, head_size=16, ff_size=64, vocab_size=600)
    names = {small.name, make_tiny_model(larger, tmp_path).name}
    (tmp_path / "other.jinja").write_text("{{ messages }}")
    monkeypatch.setattr(tiny_model, "TEMPLATE", tmp_path / "other.jinja")
    names.add(make_tiny_model(SMALL, tmp_path).name)
    assert len(names) == 3


def test_the_vocabulary_has_the_asked_size_and_the_control_tokens(small: Path) -> None:
    tokenizer = Tokenizer.from_file(str(small / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == SMALL.vocab_size
    config = json.loads((small / "config.json").read_text())
    assert config["eos_token_id"] == tokenizer.token_to_id("<|im_end|>")
    for token in (*tiny_model.SPECIAL_TOKENS, *tiny_model.ADDED_TOKENS):
        assert tokenizer.encode(token, add_special_tokens=False).ids == [tokenizer.token_to_id(token)]


@pytest.fixture(scope="module")
def tokenizer(tiny_folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(tiny_folder))


def tokens_of(tokenizer: Any, messages: list[dict[str, Any]], is_asking: bool = True) -> list[int]:
    text = tokenizer.apply_chat_template(messages, tools=TOOLS, tokenize=False, add_generation_prompt=is_asking)
    return tokenizer.encode(text, add_special_tokens=False)


def message_of(turn: RecordedTurn, are_arguments_text: bool = True) -> dict[str, Any]:
    calls = [
        {"name": call.name, "arguments": call.arguments if are_arguments_text else json.loads(call.arguments)}
        for call in turn.calls
    ]
    tool_calls = [{"id": "c", "type": "function", "function": function} for function in calls]
    return {
        "role": "assistant", "content": turn.content or None, "reasoning": turn.reasoning,
        "tool_calls": tool_calls,
    }  # fmt: skip


USER = {"role": "user", "content": "Find it, then sort."}
OBSERVED = [{"role": "tool", "tool_call_id": "c", "content": "3 files"}]
TURNS = [
    RecordedTurn(user_turn=0, reasoning="\nWhy?\n", content="\n\n", calls=(FIND,)),
    RecordedTurn(user_turn=0, reasoning="\nWhy?\n", content="\n\n", calls=(FIND, SORT)),
    RecordedTurn(user_turn=0, reasoning="", content="", calls=(SORT,)),
    RecordedTurn(user_turn=0, reasoning="\nWhy?\n", content="\n\nHere you are.", calls=()),
    RecordedTurn(user_turn=0, reasoning="", content="Here you are.", calls=()),
]


@pytest.mark.parametrize("are_arguments_text", [True, False])
@pytest.mark.parametrize("turn", TURNS)
def test_the_history_holds_the_very_tokens_that_the_renderer_forced(
    turn: RecordedTurn, are_arguments_text: bool, tokenizer: Any, tiny_folder: Path
) -> None:
    prompt = tokens_of(tokenizer, [USER])
    forced = HermesRenderer(tiny_folder).target_tokens(turn)
    observed = OBSERVED * len(turn.calls)
    following = tokens_of(tokenizer, [USER, message_of(turn, are_arguments_text), *observed], is_asking=False)
    assert following[: len(prompt) + len(forced)] == prompt + forced


def test_the_reasoning_of_an_earlier_user_turn_leaves_the_history(tokenizer: Any, tiny_folder: Path) -> None:
    silent = RecordedTurn(user_turn=0, reasoning="", content="", calls=(FIND,))
    history = [USER, message_of(TURNS[0]), *OBSERVED, message_of(TURNS[3]), {"role": "user", "content": "Thanks."}]
    prompt = tokens_of(tokenizer, [USER])
    forced = HermesRenderer(tiny_folder).target_tokens(silent)
    assert tokens_of(tokenizer, history)[: len(prompt) + len(forced)] == prompt + forced
    assert "Why?" not in tokenizer.decode(tokens_of(tokenizer, history))


def test_the_tools_and_the_observations_are_in_the_prompt(tokenizer: Any) -> None:
    text = tokenizer.decode(tokens_of(tokenizer, [USER, message_of(TURNS[0]), *OBSERVED]))
    assert json.dumps(TOOLS[0]) in text
    assert text.endswith("<tool_response>\n3 files\n</tool_response><|im_end|>\n<|im_start|>assistant\n")
