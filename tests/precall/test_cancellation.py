"""Requests that are cancelled, as every draft is that the target outruns: their connections stay of use."""

import asyncio

import httpx
import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from precall import cancellation
from precall.cancellation import finish_first
from precall.chat import ChatClient
from precall.testing.fake_server import FakeChatServer, answer_of
from precall.testing.virtual_time import run_virtual

MESSAGES = [{"role": "user", "content": "go"}]
NUM_CONNECTIONS = 4


def ask(client: ChatClient) -> list[asyncio.Task]:
    """Send more requests than there are connections."""
    return [asyncio.create_task(client.generate(MESSAGES, ())) for _ in range(2 * NUM_CONNECTIONS)]


async def test_requests_that_are_cancelled_at_any_moment_give_their_connections_back():
    http_client = DefaultAsyncHttpxClient(limits=httpx.Limits(max_connections=NUM_CONNECTIONS))
    async with (
        asyncio.timeout(30),
        FakeChatServer(answers=[answer_of(content="yes")] * 10_000) as server,
        AsyncOpenAI(base_url=server.base_url, api_key="none", http_client=http_client) as openai,
    ):
        client = ChatClient.from_openai(openai, "m")
        num_steps, num_cancelled = 0, 1
        while num_cancelled:
            requests = ask(client)
            for _ in range(num_steps):
                await asyncio.sleep(0)
            num_cancelled = sum([request.cancel() for request in requests])
            await asyncio.wait(requests)
            num_steps += 1
        answers = await asyncio.gather(*ask(client))
    assert {answer.content for answer in answers} == {"yes"}


async def cancelled_after(task: asyncio.Task, seconds: float) -> float:
    """Cancel a task and return the seconds until it ends."""
    await asyncio.sleep(seconds)
    task.cancel()
    started_s = asyncio.get_running_loop().time()
    with pytest.raises(asyncio.CancelledError):
        await task
    return asyncio.get_running_loop().time() - started_s


def test_a_step_ends_before_the_cancellation_and_what_it_returns_is_abandoned():
    abandoned = []

    async def step() -> str:
        await asyncio.sleep(0.5)
        return "open"

    async def abandon(returned: str) -> None:
        abandoned.append(returned)

    async def run() -> float:
        return await cancelled_after(asyncio.create_task(finish_first(step(), abandon)), 0.2)

    assert run_virtual(run()) == pytest.approx(0.3)
    assert abandoned == ["open"]


def test_a_step_that_hangs_is_cancelled_when_patience_has_run_out():
    ends = []

    async def step() -> None:
        try:
            await asyncio.sleep(1000.0)
        finally:
            ends.append("cancelled")

    async def run() -> float:
        return await cancelled_after(asyncio.create_task(finish_first(step())), 0.2)

    assert run_virtual(run()) == pytest.approx(cancellation.PATIENCE_S)
    assert ends == ["cancelled"]


def test_a_step_that_fails_after_the_cancellation_says_nothing():
    async def step() -> None:
        await asyncio.sleep(0.5)
        raise ValueError("too late")

    async def run() -> float:
        return await cancelled_after(asyncio.create_task(finish_first(step())), 0.2)

    assert run_virtual(run()) == pytest.approx(0.3)
