"""The tool cache's wire types: what a client writes is what the engine reads."""

import json

import pytest

from precall.errors import ToolCacheError
from precall.wire import CacheAnswer, ToolOutput, parse_post, post_body, post_path

OUTPUTS = (
    ToolOutput(name="f", params={"x": [1, 2.5, None]}, output="text"),
    ToolOutput(name="g", params={}, output={"a": "ü"}, keep_alive_s=2.5),
    ToolOutput(name="h", params={}, output=None),
    ToolOutput(name="h", params={"y": True}, is_running=True),
)


def test_a_body_is_read_as_it_was_written():
    assert parse_post(json.dumps(post_body(OUTPUTS)).encode()) == OUTPUTS


def test_params_left_out_are_an_empty_object():
    assert parse_post(b'[{"name": "f", "output": 1}]') == (ToolOutput(name="f", params={}, output=1),)


def test_a_string_enters_the_history_as_it_is_and_any_other_value_as_json():
    assert [output.text for output in OUTPUTS[:3]] == ["text", '{"a": "ü"}', "null"]


def test_the_message_names_the_entry_and_the_rule():
    with pytest.raises(ToolCacheError, match=r"Entry 1 of the body has keep_alive -1; it must be a number of seconds"):
        parse_post(b'[{"name": "f", "output": 1}, {"name": "f", "output": 1, "keep_alive": -1}]')


def test_the_papers_path_and_answer():
    assert post_path("chatcmpl-1") == "/cache-tool-output/chatcmpl-1"
    assert CacheAnswer(num_cached=2).to_json() == {"cached": 2}
