"""Which chat requests the tool cache registers, when it drops them, and what it refuses."""

import asyncio
import gc
import threading

import pytest

from precall.engine.chat import install
from tests.precall.engine.test_endpoint import ENTRY, assert_error, started, texts
from tests.precall.engine.worlds import OTHER_SECRET, SECRET, ScriptedChatHandler, chat_request


async def test_a_request_that_does_not_opt_in_reaches_the_stock_handler_untouched():
    seen = []

    class Handler(ScriptedChatHandler):
        async def create_chat_completion(self, request, raw_request=None):
            seen.append((request, raw_request))
            return "the stock answer"

    handler = Handler()
    install(handler, cache=None, is_single_user=False, make_resident=lambda *_: None)
    request = chat_request()
    assert await handler.create_chat_completion(request) == "the stock answer"
    assert seen == [(request, None)]


async def test_a_live_response_id_cannot_be_reused_and_the_live_response_is_not_touched():
    world = await started()
    await world.open()
    await world.post([ENTRY])
    assert_error(await world.chat(), 409)
    assert_error(await world.chat(secret=OTHER_SECRET), 409)
    assert world.handler.num_requests == 1
    assert texts(world) == ("one",)
    assert [answer.status_code for answer in await world.end()] == [200]


async def test_the_id_of_an_ended_response_may_be_used_again_and_nothing_is_left_of_the_old():
    world = await started()
    await world.open()
    await world.post([ENTRY])
    await world.end()
    world.handler.is_released.clear()
    await world.open(secret=OTHER_SECRET)
    assert texts(world) is None
    assert (await world.post([ENTRY], secret=OTHER_SECRET)).status_code == 200
    await world.end()


async def test_opting_in_without_a_secret_is_refused_on_a_server_of_several_users():
    world = await started()
    assert_error(await world.chat(secret=None, precall={}), 400)
    assert world.handler.num_requests == 0


@pytest.mark.parametrize("options", [None, [], {"typo": 1}, True])
async def test_options_that_do_not_exist_are_refused(options):
    world = await started()
    assert_error(await world.chat(precall=options), 400)


async def test_a_chat_secret_that_is_too_short_is_refused():
    world = await started()
    assert_error(await world.chat(secret="short"), 400)


async def test_a_request_that_fails_leaves_nothing():
    world = await started()
    world.handler.error = RuntimeError("out of luck")
    with pytest.raises(RuntimeError):
        await world.chat()
    assert world.cache.num_live == 0


async def opened():
    """Return a world and a streaming answer of its handler, as the route gets it."""
    world = await started()

    class RawRequest:
        headers = {"X-Request-Id": "1", "X-Precall-Secret": SECRET}  # noqa: RUF012

    answer = await world.handler.create_chat_completion(chat_request(model="m", stream=True), RawRequest())
    assert world.cache.num_live == 1
    return world, answer


async def test_a_client_that_leaves_in_the_middle_of_a_stream_leaves_nothing():
    world, answer = await opened()
    assert await anext(answer) == "data: 1\n\n"
    await answer.aclose()
    assert world.cache.num_live == 0


async def test_a_cancelled_stream_leaves_nothing():
    world, answer = await opened()
    await anext(answer)
    waiting = asyncio.ensure_future(anext(answer))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert world.cache.num_live == 0


async def test_a_stream_that_nobody_began_to_read_leaves_nothing_whichever_thread_drops_it():
    world, answer = await opened()
    holder = [answer]
    del answer
    dropping = threading.Thread(target=lambda: (holder.clear(), gc.collect()))
    dropping.start()
    dropping.join()
    await asyncio.sleep(0)
    assert world.cache.num_live == 0


async def test_a_stream_comes_through_unchanged():
    world = await started()
    world.handler.is_released.set()
    answer = await world.chat(stream=True)
    assert answer.text == "data: 1\n\ndata: [DONE]\n\n"
