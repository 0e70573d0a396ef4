"""A client that leaves, at whatever point, frees the sequence and its entries on the real engine."""

import asyncio

import httpx
import pytest

from tests.integration.engine.conformance.place import CALL, ENTRY, call_text, check_error, new_id

pytestmark = [pytest.mark.engine, pytest.mark.conformance]

LONG = "word " * 300


async def check_nothing_is_left(place, request_id):
    """The response has ended, so its entries are dropped, and the engine holds nothing."""
    for _ in range(100):
        answer = await place.post(request_id, [ENTRY])
        if answer.status_code == 410:
            break
        await asyncio.sleep(0.05)
    check_error(answer, 410)
    await place.check_idle()


async def test_a_client_that_leaves_in_a_spliced_turn_frees_the_sequence(several_users):
    request_id = new_id()
    await several_users.post(request_id, [ENTRY])
    async with several_users.streaming([CALL, LONG], request_id=request_id, max_tokens=600) as events:
        event = await anext(events)
        assert len(event["precall"]["executed_turns"]) == 1
        assert await several_users.metric("vllm:kv_cache_usage_perc") > 0, "the second turn is being generated"
    await check_nothing_is_left(several_users, request_id)


async def test_a_client_that_leaves_while_a_call_is_awaited_frees_the_sequence(several_users):
    request_id = new_id()
    await several_users.post(request_id, [ENTRY, {"name": "g", "running": True}])
    async with several_users.streaming([CALL, call_text("g")], request_id=request_id) as events:
        await anext(events)
        await asyncio.sleep(0.3)
    await check_nothing_is_left(several_users, request_id)


@pytest.mark.parametrize("after_s", [0.0, 0.5])
async def test_a_client_that_leaves_before_it_has_an_answer_frees_the_sequence(several_users, after_s):
    request_id = new_id()
    await several_users.post(request_id, [ENTRY])
    asking = asyncio.create_task(several_users.chat([CALL, LONG], request_id=request_id, max_tokens=600))
    while not await several_users.metric("vllm:kv_cache_usage_perc"):
        assert not asking.done()
    await asyncio.sleep(after_s)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await check_nothing_is_left(several_users, request_id)


async def test_a_hundred_clients_that_leave_at_once_leave_nothing(several_users):
    """More than the server has seats: some leave while they wait for one."""

    async def leave(index: int) -> str:
        request_id = new_id()
        await several_users.post(request_id, [ENTRY])
        try:
            async with asyncio.timeout(0.02 * index):
                await several_users.chat([CALL, LONG], request_id=request_id, max_tokens=600, stream=index % 2 == 0)
        except (TimeoutError, httpx.HTTPError):
            pass
        return request_id

    ids = await asyncio.gather(*map(leave, range(100)))
    await check_nothing_is_left(several_users, ids[-1])  # the first left before their request had arrived
    assert (await several_users.chat(["still here"], request_id=new_id())).content == "still here"
