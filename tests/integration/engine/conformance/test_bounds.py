"""Every bound of the tool cache is reached on the real engine: nothing of the post is kept, and room comes back."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from tests.integration.engine.conformance.conftest import SMALL
from tests.integration.engine.conformance.place import CALL, ENTRY, check_error, new_id

pytestmark = [pytest.mark.engine, pytest.mark.conformance]

BIG = "x" * 1900


def entries(*names, output="x", **fields):
    return [{"name": name, "output": output} | fields for name in names]


async def seconds_until_taken(place, request_id, body):
    """Post until the post is taken; return how long that took. Nothing but room may be what was missing."""
    started_s = time.monotonic()
    while (answer := await place.post(request_id, body)).status_code != 200:
        check_error(answer, 429)
        assert time.monotonic() < started_s + 30
        await asyncio.sleep(0.05)
    return time.monotonic() - started_s


async def test_a_body_and_an_entry_may_be_only_so_large(single_user):
    request_id = new_id()
    check_error(await single_user.post(request_id, [ENTRY, *entries("g", output="x" * 2001)]), 413)
    check_error(await single_user.post(request_id, entries("g", output="x" * 6001)), 413)
    assert (await single_user.chat([CALL], request_id=request_id)).names == ["f"]


async def test_a_response_holds_so_many_entries_until_they_expire(single_user):
    """`keep_alive` has a default of 1 s and a cap of 2 s here."""
    for fields, ttl_s in (({}, SMALL["default_ttl_s"]), ({"keep_alive": 600}, SMALL["max_ttl_s"])):
        request_id = new_id()
        async with single_user.living(request_id):
            posted_s = time.monotonic()
            assert (await single_user.post(request_id, entries(*"abcd", **fields))).json() == {"cached": 4}
            check_error(await single_user.post(request_id, entries("e")), 429)
            assert (await single_user.post(request_id, entries(*"abcd", **fields))).status_code == 200
            await seconds_until_taken(single_user, request_id, entries("e"))
            assert float(ttl_s) <= time.monotonic() - posted_s < 60


async def test_responses_hold_so_many_bytes_each_and_together(single_user):
    first, second, third = new_id(), new_id(), new_id()
    async with AsyncExitStack() as stack:
        for request_id in (first, second, third):
            await stack.enter_async_context(single_user.living(request_id))
        assert (await single_user.post(first, entries("a", "b", output=BIG, keep_alive=2))).status_code == 200
        check_error(await single_user.post(first, entries("c", output=BIG)), 429)
        assert (await single_user.post(second, entries("a", "b", output=BIG, keep_alive=2))).status_code == 200
        check_error(await single_user.post(third, entries("a", output=BIG)), 429)
    await asyncio.sleep(0.2)
    async with single_user.living(third := new_id()):
        await seconds_until_taken(single_user, third, entries("a", output=BIG))  # ends give room back


async def test_early_posts_are_bounded_in_number_and_bytes_and_expire(single_user):
    await asyncio.sleep(float(SMALL["early_ttl_s"]))  # those of other tests are over
    ids = [new_id() for _ in range(4)]
    for request_id in ids[:3]:
        assert (await single_user.post(request_id, [ENTRY | {"keep_alive": 2}])).status_code == 200
    check_error(await single_user.post(ids[3], [ENTRY]), 429)
    await seconds_until_taken(single_user, ids[3], [ENTRY])
    assert (await single_user.chat([CALL], request_id=ids[0])).names == ["f"], "an early post that has expired"
    await asyncio.sleep(float(SMALL["early_ttl_s"]))
    big = entries("a", "b", output=BIG, keep_alive=2)
    assert (await single_user.post(new_id(), big)).status_code == 200
    check_error(await single_user.post(new_id(), big), 429)
    request_id = new_id()
    async with single_user.living(request_id):
        assert (await single_user.post(request_id, big)).status_code == 200, "living responses keep their room"


async def test_an_ended_response_is_remembered_only_so_long(single_user):
    ids = [new_id() for _ in range(3)]
    for request_id in ids:
        await single_user.chat(["x"], request_id=request_id)
    check_error(await single_user.post(ids[2], [ENTRY]), 410)
    check_error(await single_user.post(ids[1], [ENTRY]), 410)
    assert (await single_user.post(ids[0], [ENTRY])).status_code == 200, "it counts as early"
