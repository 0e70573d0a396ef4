"""The model replay_tiny_gpt_oss: its tokenizer and its template give the ids of harmony itself."""

import json
from pathlib import Path
from typing import Any

import pytest
from openai_harmony import HarmonyEncodingName, load_harmony_encoding
from tokenizers import Tokenizer

from harness.replay import tiny_gpt_oss
from harness.replay.tiny_gpt_oss import STOP_TOKENS, VOCAB_SIZE, TinyGptOss, make_tiny_gpt_oss
from tests.gpt_oss import gpt_oss_folder, gpt_oss_tokenizer

PARAMETERS = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "Where"},
        "unit": {"type": "string", "enum": ["C", "F"], "default": "C"},
        "days": {"type": "array", "items": {"type": "integer"}},
        "options": {"type": "object", "properties": {"is_exact": {"type": "boolean"}}},
    },
    "required": ["city"],
}
TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {"name": "weather", "description": "Says\nit.", "parameters": PARAMETERS},
    },
    {"type": "function", "function": {"name": "time.now", "description": "", "parameters": {"type": "object"}}},
]


def call_message(name: str, call_id: str, **more: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": '{"city": "Malmö"}'}
    return {"role": "assistant", "tool_calls": [{"id": call_id, "type": "function", "function": function}]} | more


USER = {"role": "user", "content": "Is it cold?"}
CALL = [
    call_message("weather", "1", reasoning="Which city?"),
    {"role": "tool", "tool_call_id": "1", "content": "-3°"},
]
ANSWER = {"role": "assistant", "content": "Yes.", "reasoning": "Below zero."}
CONVERSATIONS = {
    "question": [USER],
    "instructions": [{"role": "system", "content": "Be brief."}, USER],
    "call": [USER, *CALL],
    "two calls": [
        USER, *CALL, call_message("time.now", "2", content="And:"),
        {"role": "tool", "tool_call_id": "2", "content": ""},
    ],
    "answer": [USER, *CALL, ANSWER, USER, call_message("weather", "3", reasoning="Again."), CALL[1]],
}  # fmt: skip
TEXTS = (
    "",
    "plain words",
    "naïve ☂ 漢字 🙂\u200d🙂 \x00 \ufffd",
    " \t\n\n  x \r\n\r\n",
    "they'll WE'VE iPhone 1234567 x_y.z",
    "a" * 300,
    "<|call|",
    "def f(x):\n    return {'a': [1.5e-3, None]}\n",
    "functions.get_weather to=assistant",
)
CONTROLLED = (
    "<|call|><|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}<|call|>",
    "a <|end|> b<|return|><|endoftext|><|reserved_201087|>",
)


@pytest.fixture(scope="module")
def encoding() -> Any:
    return load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return gpt_oss_tokenizer()


def test_the_tokenizer_gives_the_ids_of_harmonys_encoder(tokenizer: Any, encoding: Any) -> None:
    for text in (*TEXTS, *CONTROLLED):
        token_ids = encoding.encode(text, allowed_special="all")
        assert tokenizer.encode(text, add_special_tokens=False) == token_ids
        assert tokenizer.decode(token_ids, skip_special_tokens=False) == encoding.decode(token_ids) == text


def test_every_id_of_the_vocabulary_is_the_token_that_harmony_has_there(tokenizer: Any, encoding: Any) -> None:
    assert len(tokenizer) == VOCAB_SIZE
    byte_of = {char: byte for byte, char in _byte_alphabet().items()}
    for token_id in range(0, tiny_gpt_oss.NUM_RANKS, 97):
        token = tokenizer.convert_ids_to_tokens(token_id)
        assert bytes(byte_of[char] for char in token) == encoding._inner.decode_bytes([token_id])
    for token_id in range(tiny_gpt_oss.NUM_RANKS, VOCAB_SIZE):
        assert tokenizer.convert_ids_to_tokens(token_id) == encoding.decode([token_id])


@pytest.mark.parametrize("messages", CONVERSATIONS.values(), ids=CONVERSATIONS)
@pytest.mark.parametrize("has_tools", [True, False])
def test_the_template_renders_what_vllm_renders_with_harmony(
    messages: list[dict[str, Any]], has_tools: bool, tokenizer: Any
) -> None:
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionToolsParam
    from vllm.entrypoints.openai.parser import harmony_utils as harmony

    tools = [ChatCompletionToolsParam.model_validate(tool) for tool in TOOLS] if has_tools else None
    instructions, rest = harmony.extract_instructions_from_messages(messages)
    preamble = harmony.build_harmony_preamble(instructions=instructions, tools=tools, with_custom_tools=has_tools)
    rendered = harmony.render_for_completion([*preamble, *harmony.parse_chat_inputs_to_harmony_messages(rest)])
    text = tokenizer.apply_chat_template(
        messages, tools=TOOLS if has_tools else None, tokenize=False, add_generation_prompt=True
    )
    assert tokenizer.encode(text, add_special_tokens=False) == rendered


def test_a_turn_ends_with_the_stop_tokens_of_harmony(encoding: Any) -> None:
    config = json.loads((gpt_oss_folder() / "generation_config.json").read_text())
    stop_ids = [encoding.encode(token, allowed_special="all")[0] for token in STOP_TOKENS]
    assert config["eos_token_id"] == stop_ids
    assert set(encoding.stop_tokens_for_assistant_actions()) <= set(stop_ids)


def test_another_size_is_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_gpt_oss, "harmony_tokenizer", lambda: Tokenizer.from_str(_EMPTY))
    size = {"hidden_size": 32, "num_layers": 2, "num_heads": 2, "head_size": 16, "ff_size": 32}
    folders = [make_tiny_gpt_oss(TinyGptOss(**size, num_experts=number), tmp_path) for number in (2, 4, 2)]
    assert folders[0] == folders[2] != folders[1]
    assert json.loads((folders[1] / "config.json").read_text())["num_local_experts"] == 4


_EMPTY = '{"added_tokens": [], "model": {"type": "BPE", "vocab": {}, "merges": []}}'


def _byte_alphabet() -> dict[int, str]:
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return bytes_to_unicode()
