"""Conversations: what is trained on is what the exported folder's own template and tokenizer make of the messages."""

import random
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from harness.pocket.conversations import NOT_LEARNT
from harness.pocket.world import PocketTask, draw_task, messages_of, tools_of
from tests.harness.pocket import tiny


def tasks(num: int = 60) -> list[PocketTask]:
    draw = random.Random("conversations")
    return [draw_task(draw, "held_out", task_id=str(index)) for index in range(num)]


def text_of(token_ids: list[int]) -> str:
    return tiny.tokenizer().decode(token_ids, skip_special_tokens=False)


def turn_texts(task: PocketTask, has_reasoning: bool) -> list[str]:
    """What the model writes in each turn, put together here and not by the template."""
    texts = []
    for turn in task.turns:
        thought = f"<think>\n{turn.reasoning}\n</think>\n\n" if has_reasoning else ""
        calls = [f'<tool_call>\n{{"name": "{c.name}", "arguments": {c.arguments}}}\n</tool_call>' for c in turn.calls]
        texts.append(thought + turn.content + "\n".join(calls) + "<|im_end|>")
    return texts


@pytest.fixture(scope="module", params=[tiny.TARGET, tiny.DRAFT], ids=lambda model: model.name)
def model(request):
    return request.param


def test_training_sees_the_very_tokens_that_transformers_renders_from_the_exported_folder(model, tmp_path: Path):
    loaded = AutoTokenizer.from_pretrained(str(tiny.exported(tmp_path / "m", model)))
    for task, conversation in zip(tasks(), tiny.encoder(model).encode(tasks()), strict=True):
        rendered = loaded.apply_chat_template(messages_of(task), tools=tools_of(task), tokenize=True)
        assert conversation.token_ids == rendered["input_ids"]


def test_a_model_learns_each_of_its_turns_with_its_end_and_nothing_else(model):
    for task, (token_ids, labels) in zip(tasks(), tiny.encoder(model).encode(tasks()), strict=True):
        learnt = [label for label in labels if label != NOT_LEARNT]
        assert text_of(learnt) == "".join(turn_texts(task, model.has_reasoning))
        assert all(label in (token, NOT_LEARNT) for token, label in zip(token_ids, labels, strict=True))


def test_a_span_is_a_turns_calls_or_its_answer(model):
    for task, conversation in zip(tasks(), tiny.encoder(model).encode(tasks()), strict=True):
        spans = tiny.encoder(model).spans(conversation)
        assert [span.is_call for span in spans] == [bool(turn.calls) for turn in task.turns]
        shown = [text_of(conversation.token_ids[span.start : span.end]) for span in spans]
        without_thoughts = turn_texts(task, has_reasoning=False)
        assert [text.lstrip("\n") for text in shown] == without_thoughts


def test_a_draft_neither_writes_nor_sees_reasoning():
    encoded = tiny.encoder(tiny.DRAFT).encode(tasks())
    assert all("<think>" not in text_of(conversation.token_ids) for conversation in encoded)
    reasoning = [turn.reasoning for task in tasks() for turn in task.turns]
    shown = "".join(text_of(conversation.token_ids) for conversation in encoded)
    assert not any(text in shown for text in reasoning)
