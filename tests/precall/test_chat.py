"""The chat client and target, through the real openai client, against a scripted server on this machine."""

import asyncio
import json

import pytest
import uvicorn

from precall.calls import ToolCall
from precall.chat import KEEP_ALIVE_S, ChatClient, ChatTarget, Sampling
from precall.errors import BackendError, ConfigError
from precall.testing.fake_server import Answer, FakeChatServer, answer_of, call_deltas, chunk, usage_chunk
from precall.tools import Tool

MESSAGES = [{"role": "user", "content": "go"}]
CALL = ToolCall(name="f", arguments='{"x": 1}', call_id="c1")
TOOL = Tool(name="f", description="does it", parameters={"type": "object"}, function=lambda **_: None)


async def ask(answer, tools=(), sampling=None, **options):
    """Send one request to a server that gives `answer`; return the generation and the server."""
    async with FakeChatServer(answers=[answer]) as server:
        client = ChatClient(base_url=server.base_url, model="m", request_timeout_s=5.0)
        try:
            return await client.generate(MESSAGES, tools, sampling or Sampling(), **options), server
        finally:
            await client.aclose()


async def test_an_answer_with_calls_comes_back_whole():
    other = ToolCall(name="f", arguments="{}", call_id="c2")
    generation, _ = await ask(answer_of(content="first ", calls=[CALL, other]), tools=[TOOL])
    assert generation.content == "first "
    assert generation.tool_calls == (CALL, other)
    assert generation.finish_reason == "tool_calls"
    assert generation.num_prompt_tokens == 10
    assert generation.sent_s < generation.first_token_s <= generation.finished_s


async def test_the_extras_of_vllm_come_through():
    events = (
        chunk({"role": "assistant", "content": ""}, prompt_token_ids=[5, 6]),
        chunk({"reasoning": "hm"}, token_ids=[1]),
        chunk({}, token_ids=[2, 3]),
        *[chunk(delta, token_ids=[4]) for delta in call_deltas(0, CALL, num_parts=3)],
        chunk(finish_reason="tool_calls", token_ids=[9]),
        usage_chunk(2, 8),
        "[DONE]",
    )
    generation, _ = await ask(Answer(events=events))
    assert generation.prompt_token_ids == (5, 6)
    assert generation.output_token_ids == (1, 2, 3, 4, 4, 4, 4, 9)
    assert generation.reasoning == "hm"
    assert generation.tool_calls == (CALL,)
    assert generation.num_output_tokens == 8


async def test_a_request_carries_model_history_tools_sampling_and_extras():
    sampling = Sampling(temperature=0.5, top_p=0.9, max_tokens=7, seed=3)
    extras = {"extra_body": {"return_token_ids": True}, "extra_headers": {"X-Request-Id": "r1"}}
    _, server = await ask(answer_of(), tools=[TOOL], sampling=sampling, **extras)
    assert server.requests == [
        {
            "model": "m",
            "messages": MESSAGES,
            "tools": [TOOL.to_openai()],
            "temperature": 0.5,
            "top_p": 0.9,
            "max_tokens": 7,
            "seed": 3,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_token_ids": True,
        }
    ]
    assert server.headers[0]["x-request-id"] == "r1"


async def test_a_request_without_tools_or_seed_names_neither():
    _, server = await ask(answer_of())
    assert not {"tools", "seed"} & server.requests[0].keys()


ERROR = json.dumps({"error": {"message": "out of memory", "code": 500}})
HEAD = (chunk({"role": "assistant", "content": ""}), chunk({"content": "Hel"}))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(status=500, events=(ERROR,)), "out of memory"),
        (Answer(status=400, events=('{"error": {"message": "too long"}}',)), "too long"),
        (Answer(status=401, events=("no",)), "no"),
        (Answer(status=429, events=("{}",)), "429"),
        (Answer(events=(*HEAD, ERROR, "[DONE]")), "out of memory"),
        (Answer(events=HEAD, is_broken_off=True), "incomplete chunked read"),
        (Answer(events=(), is_broken_off=True), "incomplete chunked read"),
        (Answer(events=(*HEAD, "[DONE]")), "without a finish_reason"),
        (Answer(events=HEAD), "without a finish_reason"),
        (Answer(events=()), "without a finish_reason"),
        (Answer(events=(*HEAD, '{"choices": [')), "Expecting value"),
        (Answer(events=("<html>",)), "Expecting value"),
    ],
)
async def test_an_endpoint_that_refuses_fails_or_breaks_off_is_a_backend_error(answer, reason):
    with pytest.raises(BackendError, match=r"of m|to m at http://127\.0\.0\.1") as caught:
        await ask(answer)
    assert reason in str(caught.value)


async def test_an_endpoint_that_is_not_there_is_a_backend_error_and_is_asked_once():
    async with FakeChatServer(answers=[]) as server:
        base_url = server.base_url
    client = ChatClient(base_url=base_url, model="m")
    with pytest.raises(BackendError, match=r"The request to m at .* failed: Connection error"):
        await client.generate(MESSAGES, (), Sampling())
    await client.aclose()


async def test_an_idle_connection_is_given_up_well_before_a_server_closes_it():
    client = ChatClient(base_url="http://127.0.0.1:9/v1", model="m")
    pool = client._openai._client._transport._pool  # neither openai nor httpx shows it otherwise
    assert pool._keepalive_expiry == KEEP_ALIVE_S <= uvicorn.Config(app=None).timeout_keep_alive / 2
    await client.aclose()


async def test_a_failed_request_is_not_repeated():
    async with FakeChatServer(answers=[Answer(status=500, events=(ERROR,)), answer_of()]) as server:
        client = ChatClient(base_url=server.base_url, model="m")
        with pytest.raises(BackendError):
            await client.generate(MESSAGES, (), Sampling())
        await client.aclose()
    assert len(server.requests) == 1


async def test_an_answer_slower_than_the_time_limit_is_a_backend_error():
    async with FakeChatServer(answers=[answer_of(delay_s=5.0)]) as server:
        client = ChatClient(base_url=server.base_url, model="m", request_timeout_s=0.05)
        with pytest.raises(BackendError, match="failed: "):
            await client.generate(MESSAGES, (), Sampling())
        await client.aclose()


@pytest.mark.parametrize("has_begun", [False, True])
async def test_cancelling_a_request_breaks_it_off_at_the_server(has_begun):
    async with FakeChatServer(answers=[answer_of(content="x", delay_s=0.2)]) as server:
        client = ChatClient(base_url=server.base_url, model="m")
        request = asyncio.create_task(client.generate(MESSAGES, (), Sampling()))
        await server.until(lambda: len(server.requests) == 1)
        if has_begun:
            await asyncio.sleep(0.3)  # the first of five chunks is there
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await server.until(lambda: server.num_broken_off == 1)
        await client.aclose()


async def test_a_chat_target_yields_one_turn_per_response():
    async with FakeChatServer(answers=[answer_of(calls=[CALL])]) as server:
        client = ChatClient(base_url=server.base_url, model="m")
        target = ChatTarget(client, Sampling(max_tokens=5), extra_body={"cache_salt": "s"})
        generations = [generation async for generation in target.turns(MESSAGES, [TOOL])]
        await client.aclose()
    assert [generation.tool_calls for generation in generations] == [(CALL,)]
    assert not generations[0].is_continued
    assert (server.requests[0]["max_tokens"], server.requests[0]["cache_salt"]) == (5, "s")


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", -0.1), ("temperature", 2.1), ("temperature", float("nan")), ("top_p", 0.0), ("max_tokens", 0)],
)
def test_a_sampling_value_outside_its_rule_is_refused_and_named(name, value):
    with pytest.raises(ConfigError, match=f"{name} is {value}; it must be "):
        Sampling(**{name: value})
