"""A chat model as draft: samples as they come, failures that keep back no other sample, and cancellation."""

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


async def test_each_sample_is_sent_with_a_seed_of_its_own_and_yields_its_calls():
    async with FakeChatServer(answers=[answer_of(calls=[call(i)]) for i in range(3)]) as server:
        told, error = await predict(server, 3)
    predictions = [prediction for prediction in told if prediction.is_complete]
    assert error is None
    assert sorted(prediction.sample for prediction in predictions) == [0, 1, 2]
    assert {prediction.calls for prediction in predictions} == {(call(i),) for i in range(3)}
    assert sorted(request["seed"] for request in server.requests) == [40, 41, 42]
    assert all(prediction.num_output_tokens for prediction in predictions)


async def test_samples_come_in_the_order_in_which_they_are_complete():
    answers = [answer_of(calls=[call(0)], delay_s=0.05), answer_of(calls=[call(1)])]
    async with FakeChatServer(answers=answers) as server:
        predictions, _ = await predict(server, 2)
    assert [each.calls for each in predictions if each.is_complete] == [(call(1),), (call(0),)]


async def test_a_sample_without_a_call_is_an_answer_too():
    async with FakeChatServer(answers=[answer_of(content="nothing to do")]) as server:
        predictions, _ = await predict(server, 1, Sampling())
    assert [prediction.calls for prediction in predictions] == [()]


async def test_a_failed_sample_is_raised_after_the_others():
    failed = Answer(status=500, events=('{"error": {"message": "overloaded"}}',))
    async with FakeChatServer(answers=[failed, answer_of(calls=[call(1)], delay_s=0.02)]) as server:
        predictions, error = await predict(server, 2)
    assert [each.calls for each in predictions if each.is_complete] == [(call(1),)]
    assert "overloaded" in str(error)


async def test_a_cancelled_draft_breaks_off_its_requests_and_leaves_no_task():
    async with FakeChatServer(answers=[answer_of(delay_s=5.0)] * 3) as server:
        drafting = asyncio.create_task(predict(server, 3))
        await server.until(lambda: len(server.requests) == 3)
        drafting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await drafting
        asking = [task for task in asyncio.all_tasks() if "_ask" in repr(task.get_coro())]
        assert asking == []
        await server.until(lambda: server.num_broken_off == 3)


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
