"""The stock `openai` client drives an agent through a spliced response; every tool runs once, and never twice."""

import asyncio
import json
from collections import Counter

import openai
import pytest

from precall.wire import REQUEST_ID_HEADER, SECRET_HEADER, post_path
from tests.integration.engine.conformance.place import KEY, QUESTION, SECRET, TOOLS, call_text, new_id

pytestmark = [pytest.mark.engine, pytest.mark.conformance]

NUM_TURNS = 5
POSTED = (0, 1, 3)
"""Turns whose calls are run ahead and posted; the client runs the others when it is asked to."""


@pytest.mark.parametrize("keeps_executed", [True, False], ids=["keeps executed turns", "knows nothing of them"])
@pytest.mark.parametrize("stream", [False, True])
async def test_no_tool_runs_twice(several_users, stream, keeps_executed):
    """A client that ignores the extension field still runs no tool that the engine had from the cache."""
    ran: Counter[int] = Counter()

    def run(x: int) -> str:
        ran[x] += 1
        return f"result {x}"

    place, turns = several_users, [f"turn {x} {call_text(x=x)}" for x in range(NUM_TURNS)] + ["the answer"]
    messages, num_done, request_id, content = list(QUESTION), 0, new_id(), ""
    predicted = [{"name": "f", "params": {"x": x}, "output": run(x)} for x in POSTED]
    async with openai.AsyncOpenAI(api_key=KEY, base_url=f"{place.root}/v1", max_retries=0) as client:
        while num_done < len(turns):
            assert (await place.post(request_id, predicted)).status_code == 200
            body = place.body(turns[num_done:])
            asked = {"model": "m", "messages": messages, "tools": TOOLS, "temperature": 0, "max_tokens": 200}
            asked["extra_headers"] = {REQUEST_ID_HEADER: request_id, SECRET_HEADER: SECRET}
            asked["extra_body"] = {"precall": body["precall"]}
            message, executed = await (streamed if stream else whole)(client, asked)
            num_done += len(executed) + 1
            if keeps_executed:
                messages += [told for turn in executed for told in turn["messages"]]
            messages.append(message)
            content = message["content"]
            for call in message.get("tool_calls", []):
                x = json.loads(call["function"]["arguments"])["x"]
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": run(x)})
            request_id = new_id()
    assert ran == Counter(range(NUM_TURNS)), "every tool ran once"
    assert content == "the answer" and num_done == len(turns)
    if keeps_executed:
        told = [message["content"] for message in messages if message["role"] == "tool"]
        assert told == [f"result {x}" for x in range(NUM_TURNS)]


async def whole(client, asked):
    answer = await client.chat.completions.create(**asked)
    message = answer.choices[0].message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"})
    message.setdefault("content", "")
    return message, (answer.model_extra or {}).get("precall", {}).get("executed_turns", [])


async def streamed(client, asked):
    message, executed = {"role": "assistant", "content": ""}, []
    async for chunk in await client.chat.completions.create(**asked, stream=True):
        executed += (chunk.model_extra or {}).get("precall", {}).get("executed_turns", [])
        for choice in chunk.choices:
            message["content"] += choice.delta.content or ""
            for part in choice.delta.tool_calls or ():
                calls = message.setdefault("tool_calls", [])
                if part.index == len(calls):
                    calls.append({"id": part.id, "type": "function", "function": {"name": "", "arguments": ""}})
                calls[part.index]["function"]["name"] += part.function.name or ""
                calls[part.index]["function"]["arguments"] += part.function.arguments or ""
    return message, executed


async def test_a_client_that_speculates_during_the_stream_posts_for_the_turn_that_has_begun(several_users):
    """From an executed turn the client knows that the next has begun; what it then posts is in time."""
    place, request_id, ran = several_users, new_id(), []
    turns = [f"{'well ' * 30}{call_text(x=x)}" for x in range(3)] + ["the answer"]

    async def run_and_post(x: int) -> None:
        ran.append(x)
        await place.client.post(
            place.root + post_path(f"chatcmpl-{request_id}"),
            json=[{"name": "f", "params": {"x": x}, "output": "done"}],
            headers=place.headers(secret=SECRET),
        )

    posting = [asyncio.create_task(run_and_post(0))]
    async with openai.AsyncOpenAI(api_key=KEY, base_url=f"{place.root}/v1", max_retries=0) as client:
        headers = {REQUEST_ID_HEADER: request_id, SECRET_HEADER: SECRET}
        stream = await client.chat.completions.create(
            model="m",
            messages=QUESTION,
            tools=TOOLS,
            stream=True,
            max_tokens=200,
            temperature=0,
            extra_headers=headers,
            extra_body={"precall": place.body(turns)["precall"]},
        )
        async for chunk in stream:
            for _ in (chunk.model_extra or {}).get("precall", {}).get("executed_turns", []):
                if len(posting) < 3:
                    posting.append(asyncio.create_task(run_and_post(len(posting))))
            assert not any(choice.delta.tool_calls for choice in chunk.choices)
    await asyncio.gather(*posting)
    assert ran == [0, 1, 2]
