"""The chat client against an endpoint that is busy, breaks, counts wrongly, or takes only some parameters."""

import asyncio
import json

import pytest
from openai import AsyncOpenAI

from precall.calls import ToolCall
from precall.chat import ChatClient, Sampling
from precall.errors import BackendError, ConfigError
from precall.rate_limits import RateLimits
from precall.retries import RetryPolicy
from precall.testing.fake_server import Answer, FakeChatServer, answer_of, chunk, usage_chunk

MESSAGES = [{"role": "user", "content": "go"}]
AT_ONCE = RetryPolicy(max_retries=3, first_delay_s=0.0)
ERROR = json.dumps({"error": {"message": "overloaded", "code": "server_error", "type": "server_error"}})
BUSY = Answer(status=429, events=(ERROR,), headers={"Retry-After-Ms": "1"})
ROLE = chunk({"role": "assistant", "content": ""})
GOOD = answer_of(content="Hello.")


async def ask(*answers, sampling=None, retries=AT_ONCE, limits=None, timeout_s=5.0):
    """Send one request to a server with these answers; return the generation or the error, the server, the usage."""
    async with FakeChatServer(answers=answers) as server:
        client = ChatClient(
            base_url=server.base_url, model="m", request_timeout_s=timeout_s, retries=retries, limits=limits
        )
        try:
            return await client.generate(MESSAGES, (), sampling), server, client.usage
        except BackendError as error:
            return error, server, client.usage
        finally:
            await client.aclose()


@pytest.mark.parametrize(
    "failure",
    [
        BUSY,
        *[Answer(status=status, events=(ERROR,)) for status in (429, 500, 502, 503, 504)],
        Answer(events=(), is_broken_off=True),
        Answer(events=(ROLE,), is_broken_off=True),
        Answer(events=(ROLE, ERROR)),
        Answer(events=(ROLE,)),
    ],
)
async def test_what_fails_before_the_first_token_is_asked_for_again_and_the_answer_is_whole(failure):
    generation, server, usage = await ask(failure, failure, GOOD)
    assert generation.content == "Hello."
    assert len(server.requests) == 3 and server.requests[0] == server.requests[2]
    assert (usage.num_requests, usage.num_retries, usage.num_counted) == (3, 2, 1)


@pytest.mark.parametrize("begun", [{"content": "Hel"}, {"tool_calls": [{"index": 0, "function": {"name": "f"}}]}])
async def test_an_answer_that_breaks_off_after_its_first_token_is_never_asked_for_again(begun):
    error, server, usage = await ask(Answer(events=(ROLE, chunk(begun)), is_broken_off=True), GOOD)
    assert isinstance(error, BackendError)
    assert len(server.requests) == 1
    assert (usage.num_retries, usage.num_uncounted, usage.num_estimated_output_tokens) == (0, 1, 1)


async def test_retries_end_with_the_last_failure():
    error, server, usage = await ask(*[BUSY] * 9)
    assert "overloaded" in str(error)
    assert len(server.requests) == 1 + AT_ONCE.max_retries
    assert usage.num_refused == 4 and usage.num_uncounted == 0


async def test_a_request_that_is_at_fault_is_asked_once():
    error, server, _ = await ask(Answer(status=400, events=(ERROR,)), GOOD)
    assert isinstance(error, BackendError)
    assert len(server.requests) == 1


async def test_an_endpoint_that_asks_for_too_long_a_pause_fails_at_once():
    error, server, _ = await ask(Answer(status=429, events=(ERROR,), headers={"Retry-After": "86400"}), GOOD)
    assert isinstance(error, BackendError)
    assert len(server.requests) == 1


async def test_an_endpoint_that_is_not_there_is_tried_as_often():
    async with FakeChatServer(answers=[]) as server:
        base_url = server.base_url
    client = ChatClient(base_url=base_url, model="m", retries=AT_ONCE)
    with pytest.raises(BackendError, match="Connection error"):
        await client.generate(MESSAGES, ())
    assert client.usage.num_requests == 4
    await client.aclose()


async def test_an_answer_that_stalls_before_its_first_token_is_asked_for_again():
    generation, server, usage = await ask(answer_of(content="late", delay_s=60.0), GOOD, timeout_s=0.2)
    assert generation.content == "Hello."
    assert server.num_broken_off == 1
    assert usage.num_uncounted == 1  # it may have been billed


async def test_a_cancelled_pause_ends_the_request():
    patient = RetryPolicy(max_retries=1, first_delay_s=1e6, max_delay_s=1e6)
    async with FakeChatServer(answers=[Answer(status=503, events=(ERROR,)), GOOD]) as server:
        client = ChatClient(base_url=server.base_url, model="m", retries=patient)
        asking = asyncio.create_task(client.generate(MESSAGES, ()))
        await server.until(lambda: len(server.requests) == 1)
        await asyncio.sleep(0.1)  # for the answer to arrive; it ends alike if it has not
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await client.aclose()
    assert len(server.requests) == 1


def counted(**usage):
    return Answer(events=(chunk({"content": "x"}), chunk(finish_reason="stop"), usage_chunk(10, 4, **usage), "[DONE]"))


async def test_cached_and_reasoning_tokens_come_with_the_generation_and_are_added_up():
    details = {"prompt_tokens_details": {"cached_tokens": 8}, "completion_tokens_details": {"reasoning_tokens": 3}}
    generation, _, usage = await ask(counted(**details))
    assert (generation.num_prompt_tokens, generation.num_cached_prompt_tokens) == (10, 8)
    assert (generation.num_output_tokens, generation.num_reasoning_tokens) == (4, 3)
    assert (usage.num_prompt_tokens, usage.num_cached_prompt_tokens) == (10, 8)
    assert (usage.num_output_tokens, usage.num_reasoning_tokens) == (4, 3)


@pytest.mark.parametrize(
    "wrong",
    [{"prompt_tokens": None}, {"completion_tokens": -3}, {"prompt_tokens": "ten"}, {"completion_tokens": {"all": 3}}],
)
async def test_a_usage_that_is_wrong_is_not_taken_for_a_count(wrong):
    generation, _, usage = await ask(counted(**wrong))
    assert generation.content == "x"
    assert None in (generation.num_prompt_tokens, generation.num_output_tokens)
    assert (usage.num_counted, usage.num_uncounted) == (0, 1)


async def test_an_endpoint_that_sends_no_usage_is_estimated():
    generation, _, usage = await ask(Answer(events=(chunk({"content": "x"}), chunk(finish_reason="stop"), "[DONE]")))
    assert generation.num_output_tokens is None
    assert usage.num_uncounted == 1 and usage.num_estimated_prompt_tokens > 0


async def test_a_request_that_is_cancelled_counts_as_uncounted():
    async with FakeChatServer(answers=[answer_of(content="x", delay_s=60.0)]) as server:
        client = ChatClient(base_url=server.base_url, model="m")
        asking = asyncio.create_task(client.generate(MESSAGES, ()))
        await server.until(lambda: len(server.requests) == 1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert client.usage.num_uncounted == 1
        await client.aclose()


async def test_a_reasoning_model_is_sent_its_own_parameters_and_no_others():
    sampling = Sampling(
        temperature=None, top_p=None, max_tokens=None, max_completion_tokens=64, reasoning_effort="minimal"
    )
    _, server, _ = await ask(GOOD, sampling=sampling)
    assert server.requests[0].keys() == {
        "model", "messages", "max_completion_tokens", "reasoning_effort", "stream", "stream_options"
    }  # fmt: skip


async def test_without_a_sampling_the_endpoints_own_holds():
    _, server, _ = await ask(GOOD)
    assert server.requests[0].keys() == {"model", "messages", "stream", "stream_options"}


def test_two_bounds_of_one_generation_are_refused():
    with pytest.raises(ConfigError, match="max_tokens is 1024 and max_completion_tokens is 64; at most one may be"):
        Sampling(max_completion_tokens=64)


async def test_a_client_on_an_openai_client_has_its_key_headers_and_retries_and_leaves_it_open():
    async with (
        FakeChatServer(answers=[BUSY, GOOD, GOOD]) as server,
        AsyncOpenAI(
            base_url=server.base_url, api_key="secret", max_retries=1, default_headers={"X-Team": "blue"}
        ) as openai,
    ):
        client = ChatClient.from_openai(openai, "m")
        assert (await client.generate(MESSAGES, ())).content == "Hello."
        await client.aclose()
        assert (await client.generate(MESSAGES, ())).content == "Hello."
        assert openai.max_retries == 1
    assert len(server.requests) == 3
    assert {headers["authorization"] for headers in server.headers} == {"Bearer secret"}
    assert {headers["x-team"] for headers in server.headers} == {"blue"}


async def test_a_request_waits_until_the_rate_limit_has_room_and_a_retry_counts_as_one(monkeypatch):
    waits_s = []

    async def sleep(seconds):
        waits_s.append(seconds)
        raise asyncio.CancelledError

    async with FakeChatServer(answers=[BUSY, GOOD]) as server:
        client = ChatClient(
            base_url=server.base_url, model="m", retries=AT_ONCE, limits=RateLimits(requests_per_minute=2)
        )
        assert (await client.generate(MESSAGES, ())).content == "Hello."
        monkeypatch.setattr("precall.rate_limits.asyncio.sleep", sleep)
        with pytest.raises(asyncio.CancelledError):
            await client.generate(MESSAGES, ())
        monkeypatch.undo()
        await client.aclose()
    assert 50.0 < waits_s[0] <= 60.0
    assert len(server.requests) == 2


async def test_the_tokens_that_the_endpoint_counted_take_the_place_of_the_estimate():
    limits = RateLimits(tokens_per_minute=1100)  # the estimate holds max_tokens, 1024; the usage is 14
    async with FakeChatServer(answers=[counted(), counted()]) as server, asyncio.timeout(5.0):
        client = ChatClient(base_url=server.base_url, model="m", limits=limits)
        for _ in range(2):  # with the estimate standing, the second would wait for most of a minute
            await client.generate(MESSAGES, (), Sampling())
        await client.aclose()
        assert len(server.requests) == 2


async def test_calls_survive_a_retry():
    call = ToolCall(name="f", arguments='{"x": 1}', call_id="c1")
    generation, _, _ = await ask(BUSY, answer_of(calls=[call]))
    assert generation.tool_calls == (call,)
