"""The tokenizer: what is copied from prose into JSON has the same pieces in both."""

import random

import pytest

from harness.pocket.conversations import written
from harness.pocket.tokenizer import VOCAB_SIZE, make_tokenizer, train_tokenizer
from harness.pocket.tools import TOOL_NAMES
from harness.pocket.values import DAYS, pool
from harness.pocket.world import draw_task
from tests.harness.pocket import tiny


def pieces(text: str) -> list[str]:
    return [tiny.tokenizer().decode([token]) for token in tiny.tokenizer().encode(text, add_special_tokens=False).ids]


def test_the_vocabulary_has_its_size_and_the_same_world_gives_the_same_one():
    assert tiny.tokenizer().get_vocab_size() == VOCAB_SIZE
    assert make_tokenizer().to_str() == tiny.tokenizer().to_str()


@pytest.mark.parametrize("name", TOOL_NAMES)
def test_a_tools_name_is_one_piece_in_prose_and_in_json(name):
    for text in (f"I call {name} with", f'{{"name": "{name}", "arguments"', f"({name})", name):
        assert name in pieces(text)


@pytest.mark.parametrize("kind", ["city", "country", "person", "project", "path", "title", "word", "amount"])
def test_a_value_has_the_same_pieces_in_prose_and_in_json(kind):
    for value in pool(kind, "held_out")[:40]:
        own = pieces(str(value))
        for text in (f"in {value}.", f"in {value}?", f"of {value} and", f'"x": "{value}"', f'"x": {value}}}'):
            shown = pieces(text)
            assert own in [shown[start : start + len(own)] for start in range(len(shown))], text


def test_digits_and_capitals_are_pieces_of_their_own_and_so_is_the_space_before_them():
    assert pieces("at 407 in Zo") == ["at", " ", "4", "0", "7", " in", " ", "Z", "o"]


def test_a_calls_frame_is_one_piece_on_either_side_of_its_name():
    assert pieces('\n{"name": "phone", "arguments": {"person": "')[:3] == [
        '\n{"name": "',
        "phone",
        '", "arguments": {"',
    ]


def test_what_is_encoded_decodes_to_the_same_text():
    draw = random.Random(0)
    texts = [written(draw_task(draw, "held_out", task_id=""), has_reasoning=True) for _ in range(50)]
    for text in [*texts, "naïve ☂ 東京\t\n\n <tool_call> x", *DAYS]:
        ids = tiny.tokenizer().encode(text, add_special_tokens=False).ids
        assert tiny.tokenizer().decode(ids, skip_special_tokens=False) == text


def test_a_name_that_is_too_rare_to_be_one_piece_is_refused():
    with pytest.raises(AssertionError, match="zyzzyva is too rare"):
        train_tokenizer(["only other words here"], ["zyzzyva"])
