"""A chat model as draft: samples as they come, endpoints that give fewer, failures and cancellation."""

import asyncio
from contextlib import aclosing

import pytest

from precall.calls import ToolCall
from precall.chat import ChatClient, Sampling
from precall.drafts.chat_model import ChatDraft
from precall.errors import BackendError, ConfigError
from precall.testing.fake_server import Answer, FakeChatServer, answer_of, call_deltas, chunk, usage_chunk

MESSAGES = [{"role": "user", "content": "go"}]
WARM = Sampling(temperature=0.7, seed=40)


def call(number):
    return ToolCall(name="f", arguments=f'{{"x": {number}}}', call_id=f"c{number}")


async def predict(server, num_samples, sampling=WARM):
    """Return the predictions of a draft, and the BackendError that it ended with, if any."""
    client = ChatClient(base_url=server.base_url, model="draft")
    draft = ChatDraft(client, sampling, num_samples)
    predictions = []
    try:
        async with aclosing(draft.predict(MESSAGES, ())) as answers:
            async for prediction in answers:
                predictions.append(prediction)
    except BackendError as error:
        return predictions, error
    finally:
        await client.aclose()
    return predictions, None


def answer_with_choices(order, num_parts=1):
    """An answer with one choice for each number in `order`, which end in that order; choice i calls f with x = i."""
    parts = {i: call_deltas(0, call(i), num_parts) for i in order}
    events = [chunk(deltas[0], index=i) for i, deltas in parts.items()]
    for i in order:
        events += [chunk(part, index=i) for part in parts[i][1:]]
        events.append(chunk(finish_reason="tool_calls", index=i))
    return Answer(events=(*events, usage_chunk(10, 21), "[DONE]"))


def told_of(predictions):
    return [(each.sample, each.calls, each.is_complete) for each in predictions]


async def test_all_samples_are_choices_of_one_request_and_come_in_the_order_in_which_they_are_complete():
    async with FakeChatServer(answers=[answer_with_choices([2, 0, 1])]) as server:
        predictions, error = await predict(server, 3)
    assert error is None
    assert told_of(predictions) == [
        (2, (call(2),), False),
        (2, (call(2),), True),
        (0, (call(0),), False),
        (0, (call(0),), True),
        (1, (call(1),), False),
        (1, (call(1),), True),
    ]
    (request,) = server.requests
    assert (request["n"], request["seed"]) == (3, 40)


async def test_the_last_sample_carries_the_tokens_of_the_whole_request():
    async with FakeChatServer(answers=[answer_with_choices([1, 0])]) as server:
        predictions, _ = await predict(server, 2)
    complete = [each for each in predictions if each.is_complete]
    assert [(each.num_prompt_tokens, each.num_output_tokens) for each in complete] == [(0, 0), (10, 21)]


async def test_one_sample_asks_for_no_number_of_choices():
    async with FakeChatServer(answers=[answer_of(calls=[call(0)])]) as server:
        await predict(server, 1)
    assert "n" not in server.requests[0]


async def test_an_endpoint_that_gives_fewer_choices_fails_after_those_that_it_gave():
    async with FakeChatServer(answers=[answer_with_choices([0])]) as server:
        predictions, error = await predict(server, 3)
    assert (0, (call(0),), True) in told_of(predictions)
    assert "without a finish_reason for 2 of 3 choices" in str(error)


async def test_a_choice_that_was_not_asked_for_is_ignored():
    async with FakeChatServer(answers=[answer_with_choices([5, 0, 1])]) as server:
        predictions, error = await predict(server, 2)
    assert error is None
    assert {each.sample for each in predictions} == {0, 1}


async def test_a_sample_without_a_call_is_an_answer_too():
    async with FakeChatServer(answers=[answer_of(content="nothing to do")]) as server:
        predictions, _ = await predict(server, 1, Sampling())
    assert [prediction.calls for prediction in predictions] == [()]


async def test_a_failed_request_is_raised():
    failed = Answer(status=500, events=('{"error": {"message": "overloaded"}}',))
    async with FakeChatServer(answers=[failed]) as server:
        predictions, error = await predict(server, 2)
    assert predictions == []
    assert "overloaded" in str(error)


async def test_a_cancelled_draft_breaks_off_its_request():
    async with FakeChatServer(answers=[answer_of(delay_s=5.0)]) as server:
        drafting = asyncio.create_task(predict(server, 3))
        await server.until(lambda: len(server.requests) == 1)
        drafting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await drafting
        await server.until(lambda: server.num_broken_off == 1)


def test_samples_that_would_all_be_alike_are_refused():
    client = ChatClient(base_url="http://127.0.0.1:9/v1", model="draft")
    with pytest.raises(ConfigError, match="num_samples is 3 at temperature 0"):
        ChatDraft(client, Sampling(), 3)
    with pytest.raises(ConfigError, match="num_samples is 0; it must be at least 1"):
        ChatDraft(client, WARM, 0)


async def test_a_call_is_told_as_soon_as_it_is_complete_and_the_sample_when_it_has_ended():
    deltas = [part for index in (0, 1) for part in call_deltas(index, call(index), num_parts=2)]
    events = [*map(chunk, deltas), chunk(finish_reason="tool_calls"), usage_chunk(10, 7), "[DONE]"]
    async with FakeChatServer(answers=[Answer(events=tuple(events))]) as server:
        predictions, error = await predict(server, 1)
    assert error is None
    assert [(each.calls, each.is_complete) for each in predictions] == [
        ((call(0),), False),
        ((call(0), call(1)), False),
        ((call(0), call(1)), True),
    ]
    assert [(each.num_prompt_tokens, each.num_output_tokens) for each in predictions[1:]] == [(None, None), (10, 7)]
    assert len({each.sent_s for each in predictions}) == 1


async def test_a_sample_that_breaks_off_has_told_the_calls_that_were_complete():
    events = [*map(chunk, call_deltas(0, call(0))), chunk(call_deltas(1, call(1))[0])]
    async with FakeChatServer(answers=[Answer(events=tuple(events), is_broken_off=True)]) as server:
        predictions, error = await predict(server, 1)
    assert [(each.calls, each.is_complete) for each in predictions] == [((call(0),), False)]
    assert error is not None
