"""From chunks to a generation: what is added up, and what stays unknown when the server does not say it."""

import json

import pytest
from openai.types.chat import ChatCompletionChunk

from precall.calls import ToolCall
from precall.stream import GenerationBuilder, hash_token_ids
from precall.testing.fake_server import call_deltas, chunk, usage_chunk


def parsed(data):
    return ChatCompletionChunk.construct(**json.loads(data))


def build(*events):
    """Feed the events' data to a builder, one a second from 1 s on; the request was sent at 0 s."""
    builder = GenerationBuilder(sent_s=0.0)
    for time_s, data in enumerate(events, start=1):
        builder.add(parsed(data), float(time_s))
    return builder.build(finished_s=len(events) + 1.0)


CALL = ToolCall(name="search", arguments='{"query": "a \\"b\\"", "n": 3}', call_id="c1")


def test_an_answer_without_a_call_is_the_concatenated_content():
    parts = [chunk({"role": "assistant", "content": ""}), chunk({"content": "Hel"}), chunk({"content": "lo"})]
    generation = build(*parts, chunk(finish_reason="stop"), usage_chunk(7, 3))
    assert generation.content == "Hello"
    assert generation.tool_calls == ()
    assert (generation.sent_s, generation.first_token_s, generation.finished_s) == (0.0, 2.0, 6.0)
    assert (generation.num_prompt_tokens, generation.num_output_tokens) == (7, 3)
    assert generation.finish_reason == "stop"
    assert not generation.is_continued
    assert generation.to_message() == {"role": "assistant", "content": "Hello"}


@pytest.mark.parametrize("num_parts", [1, 2, 5, 100])
def test_a_call_split_over_chunks_is_put_together_to_the_letter(num_parts):
    deltas = call_deltas(0, CALL, num_parts)
    assert len(deltas) >= min(num_parts, len(CALL.arguments))
    generation = build(*map(chunk, deltas), chunk(finish_reason="tool_calls"))
    assert generation.tool_calls == (CALL,)
    assert generation.first_token_s == 1.0


def test_calls_whose_parts_interleave_are_kept_apart_and_in_the_order_of_their_indexes():
    other = ToolCall(name="read", arguments='{"path": "x"}', call_id="c2")
    second, first = call_deltas(1, other, 2), call_deltas(0, CALL, 2)
    generation = build(*map(chunk, [second[0], first[0], second[1], first[1], second[2], first[2]]))
    assert generation.tool_calls == (CALL, other)


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_reasoning_is_kept_apart_from_the_content_and_is_a_first_token(field):
    generation = build(chunk({field: "think "}), chunk({field: "hard"}), chunk({"content": "so"}))
    assert (generation.reasoning, generation.content, generation.first_token_s) == ("think hard", "so", 1.0)
    assert generation.to_message() == {"role": "assistant", "content": "so", "reasoning": "think hard"}


def test_token_ids_are_added_up_and_the_prompts_are_taken_from_the_first_chunk():
    generation = build(
        chunk({"role": "assistant", "content": ""}, prompt_token_ids=[5, 6, 7]),
        chunk({}, token_ids=[1, 2]),
        chunk({"content": "x"}, token_ids=[3], prompt_token_ids=None),
        chunk(finish_reason="stop", token_ids=[]),
    )
    assert generation.output_token_ids == (1, 2, 3)
    assert generation.prompt_token_ids == (5, 6, 7)
    assert generation.prompt_hash == hash_token_ids([5, 6, 7])
    assert generation.first_token_s == 2.0  # tokens whose text is held back, as within a call, are tokens too


def test_what_the_server_does_not_say_is_none():
    generation = build(chunk({"role": "assistant", "content": ""}), chunk(finish_reason="stop"))
    assert generation.first_token_s is None
    assert generation.num_prompt_tokens is None
    assert generation.num_output_tokens is None
    assert generation.prompt_token_ids is None
    assert generation.output_token_ids is None
    assert generation.prompt_hash is None
    assert build(chunk({"content": "x"})).finish_reason is None


def test_the_message_of_a_generation_without_a_word_has_empty_content():
    assert build(chunk(finish_reason="stop")).to_message() == {"role": "assistant", "content": ""}


def test_the_message_of_a_call_holds_the_call_as_the_model_wrote_it():
    function = {"name": CALL.name, "arguments": CALL.arguments}
    assert build(*map(chunk, call_deltas(0, CALL))).to_message() == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": function}],
    }


def test_the_hash_of_token_ids_tells_sequences_apart():
    assert hash_token_ids([1, 23]) == hash_token_ids((1, 23))
    assert len({hash_token_ids(ids) for ids in ([], [1], [12], [1, 2], [2, 1], [1, 23], [12, 3])}) == 7
    assert len(hash_token_ids([1])) == 16


def test_a_call_is_complete_once_its_arguments_are_a_whole_object_or_the_next_begins():
    builder, seen = GenerationBuilder(sent_s=1.0), []
    second = ToolCall(name="g", arguments="{}", call_id="c2")
    # Each call as its name, then its arguments in two parts; `g` ends with a part that closes its object.
    for delta in [*call_deltas(0, CALL, num_parts=2), *call_deltas(1, second, num_parts=2)]:
        builder.add(parsed(chunk(delta)), 2.0)
        seen.append(builder.complete_calls())
    assert seen == [(), (), (CALL,), (CALL,), (CALL,), (CALL, second)]


@pytest.mark.parametrize("arguments", ["", "[1}", '{"x": "}', '{"x": 1', '"}"'])
def test_arguments_that_are_no_whole_object_leave_a_call_open_until_the_next_begins(arguments):
    builder, opened = GenerationBuilder(sent_s=1.0), ToolCall(name="f", arguments=arguments, call_id="c1")
    for delta in call_deltas(0, opened):
        builder.add(parsed(chunk(delta)), 2.0)
    assert builder.complete_calls() == ()
    builder.add(parsed(chunk(call_deltas(1, CALL)[0])), 2.0)
    assert builder.complete_calls() == (opened,)
