"""The contract of POST /cache-tool-output/{response_id}: one test per row of docs/tool-cache.md."""

import json

import pytest

from precall.calls import ToolCall
from tests.precall.engine.worlds import OTHER_SECRET, SECRET, World

ENTRY = {"name": "f", "params": {"x": 1}, "output": "one"}
CALL = ToolCall(name="f", arguments='{"x": 1.0}')


async def started(**options) -> World:
    return await World(**options).start()


def texts(world, *calls, response_id="chatcmpl-1"):
    return world.cache._live[response_id].find(calls or (CALL,)).texts


def assert_error(answer, status):
    """The answer is an error in vLLM's shape."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"] == status and error["message"].endswith((".", "allows.")) and error["type"].endswith("Error")


async def test_a_post_for_a_live_response_is_cached_and_found():
    world = await started()
    await world.open()
    answer = await world.post([ENTRY, {"name": "g", "output": {"a": [1]}}])
    assert (answer.status_code, answer.json()) == (200, {"cached": 2})
    assert texts(world, CALL, ToolCall(name="g", arguments="")) == ("one", '{"a": [1]}')
    await world.end()


async def test_a_key_named_twice_counts_once_and_its_last_entry_is_kept():
    world = await started()
    await world.open()
    answer = await world.post([ENTRY, ENTRY | {"output": "two"}])
    assert answer.json() == {"cached": 1}
    assert texts(world) == ("two",)
    await world.end()


async def test_an_early_post_is_handed_over_when_its_request_arrives():
    world = await started()
    assert (await world.post([ENTRY])).json() == {"cached": 1}
    await world.open()
    assert texts(world) == ("one",)
    await world.end()


async def test_an_early_post_with_another_secret_is_dropped_when_the_request_arrives():
    world = await started()
    await world.post([ENTRY | {"output": "forged"}], secret=OTHER_SECRET)
    await world.post([{"name": "g", "output": "mine"}])
    await world.open()
    assert texts(world) is None
    assert texts(world, ToolCall(name="g", arguments="{}")) == ("mine",)
    assert world.cache.count().num_entries == 1
    await world.end()


async def test_an_early_post_expires():
    world = await started(settings={"early_ttl_s": 10})
    await world.post([ENTRY | {"keep_alive": 100}])
    world.clock.now_s += 10
    await world.open()
    assert texts(world) is None
    assert world.cache.count().num_entries == 0
    await world.end()


async def test_a_double_post_keeps_the_later_output():
    world = await started()
    await world.open()
    await world.post([ENTRY])
    assert (await world.post([ENTRY | {"output": "later"}])).json() == {"cached": 1}
    assert texts(world) == ("later",)
    assert world.cache.count().num_entries == 1
    await world.end()


async def test_an_announcement_does_not_replace_an_output():
    world = await started()
    await world.open()
    await world.post([ENTRY])
    answer = await world.post([{"name": "f", "params": {"x": 1}, "running": True}])
    assert answer.json() == {"cached": 1}
    assert texts(world) == ("one",)
    await world.end()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_post_for_a_response_that_has_ended_is_refused_and_nothing_is_left(stream):
    world = await started()
    await world.open(stream=stream)
    await world.post([ENTRY])
    await world.end()
    assert world.cache.count().num_entries == 0
    assert_error(await world.post([ENTRY]), 410)
    assert_error(await world.post([ENTRY], secret=OTHER_SECRET), 403)


async def test_an_ended_response_is_remembered_only_so_long():
    world = await started(settings={"num_remembered": 1})
    world.handler.is_released.set()
    await world.chat("1")
    await world.chat("2")
    assert_error(await world.post([ENTRY], "chatcmpl-2"), 410)
    assert (await world.post([ENTRY], "chatcmpl-1")).status_code == 200, "it is early again"


async def test_an_id_that_no_chat_response_can_have_is_unknown():
    world = await started()
    assert_error(await world.post([ENTRY], "cmpl-1"), 404)


async def test_without_the_api_key_nothing_is_taken():
    world = await started(api_keys=["key one", "key two"])
    await world.open()
    assert_error(await world.post([ENTRY]), 401)
    assert_error(await world.post([ENTRY], Authorization="Bearer wrong"), 401)
    assert_error(await world.post([ENTRY], Authorization="key one"), 401)
    assert texts(world) is None
    assert (await world.post([ENTRY], Authorization="Bearer key two")).status_code == 200
    await world.end()


async def test_the_key_of_the_environment_counts_when_none_is_given(monkeypatch):
    monkeypatch.setenv("VLLM_API_KEY", "from the environment")
    world = await started()
    assert_error(await world.post([ENTRY]), 401)
    assert (await world.post([ENTRY], Authorization="Bearer from the environment")).status_code == 200


async def test_without_a_secret_nothing_is_taken_on_a_server_of_several_users():
    world = await started()
    assert_error(await world.post([ENTRY], secret=None), 403)
    await world.open()
    assert_error(await world.post([ENTRY], secret=None), 403)
    assert texts(world) is None
    await world.end()


async def test_another_owners_secret_changes_nothing():
    world = await started()
    await world.open()
    await world.post([ENTRY])
    assert_error(await world.post([ENTRY | {"output": "forged"}], secret=OTHER_SECRET), 403)
    assert texts(world) == ("one",)
    await world.end()


async def test_the_papers_plain_form_works_on_a_single_user_server():
    world = await started(settings={"single_user": True})
    await world.open(secret=None, precall={})
    assert (await world.post([ENTRY], secret=None)).json() == {"cached": 1}
    assert texts(world) == ("one",)
    assert_error(await world.post([ENTRY], secret=SECRET), 403)
    await world.open("2")
    assert_error(await world.post([ENTRY], "chatcmpl-2", secret=None), 403)
    await world.end()


async def test_a_secret_that_is_none_is_refused():
    world = await started()
    assert_error(await world.post([ENTRY], secret="short"), 400)
    assert_error(await world.post([ENTRY], secret="x" * 257), 400)


MALFORMED = [
    b"",
    b"{",
    b"\xff",
    b"{}",
    b"[1]",
    b'[{"name": "f", "output": 1, "output": 2}]',
    b'[{"name": "f", "params": {"x": NaN}, "output": 1}]',
    b'[{"name": "f", "params": {"x": 1e999}, "output": 1}]',
    b"[" * 100_000,
    [{"output": 1}],
    [{"name": "", "output": 1}],
    [{"name": 1, "output": 1}],
    [{"name": "f"}],
    [{"name": "f", "params": [], "output": 1}],
    [{"name": "f", "params": "{}", "output": 1}],
    [{"name": "f", "output": 1, "running": True}],
    [{"name": "f", "running": "yes"}],
    [{"name": "f", "running": False}],
    [{"name": "f", "output": 1, "keep_alive": 0}],
    [{"name": "f", "output": 1, "keep_alive": "1"}],
    [{"name": "f", "output": 1, "keep_alive": True}],
    [{"name": "f", "output": 1, "keepalive": 1}],
    [ENTRY, {"name": "f"}],
]


@pytest.mark.parametrize(
    "body", MALFORMED, ids=lambda body: (body if isinstance(body, bytes) else json.dumps(body))[:40]
)
async def test_a_malformed_body_is_refused_whole(body):
    world = await started()
    await world.open()
    assert_error(await world.post(body), 422)
    assert texts(world) is None
    await world.end()


async def test_an_empty_post_is_no_error():
    world = await started()
    assert (await world.post([])).json() == {"cached": 0}
    assert not world.cache._early


async def test_a_body_and_an_entry_may_be_only_so_large():
    world = await started(settings={"max_body_bytes": 200, "max_entry_bytes": 50})
    await world.open()
    assert_error(await world.post([ENTRY, ENTRY | {"output": "x" * 60}]), 413)
    assert_error(await world.post([ENTRY | {"output": "x" * 200}]), 413)
    assert texts(world) is None
    await world.end()


@pytest.mark.parametrize(
    "settings", [{"max_entries_per_response": 2}, {"max_bytes_per_response": 30}, {"max_total_bytes": 30}], ids=str
)
async def test_a_response_holds_only_so_much_until_entries_expire(settings):
    world = await started(settings=settings)
    await world.open()
    entries = [{"name": name, "output": name * 9, "keep_alive": 5} for name in "fgh"]
    assert (await world.post(entries[:2])).json() == {"cached": 2}
    assert_error(await world.post([entries[2]]), 429)
    assert_error(await world.post([entries[0], entries[2]]), 429)
    assert (await world.post([entries[0]])).status_code == 200, "replacing needs no room"
    world.clock.now_s += 5
    assert (await world.post([entries[2]])).json() == {"cached": 1}
    await world.end()


@pytest.mark.parametrize("settings", [{"max_early_posts": 1}, {"max_early_bytes": 15}], ids=str)
async def test_early_posts_have_bounds_of_their_own_and_leave_live_responses_room(settings):
    world = await started(settings=settings)
    assert (await world.post([ENTRY], "chatcmpl-2")).status_code == 200
    assert_error(await world.post([ENTRY], "chatcmpl-3"), 429)
    await world.open()
    assert (await world.post([ENTRY])).status_code == 200
    world.clock.now_s += 10
    assert (await world.post([ENTRY], "chatcmpl-3")).status_code == 200
    await world.end()


async def test_keep_alive_has_a_default_and_a_cap():
    world = await started(settings={"default_ttl_s": 10, "max_ttl_s": 20})
    await world.open()
    entries = [{"name": "f", "output": 1}, {"name": "g", "output": 2, "keep_alive": 1e300}]
    await world.post([*entries, {"name": "h", "output": 3, "keep_alive": 2.5}])
    calls = [ToolCall(name=name, arguments="{}") for name in "fgh"]
    is_found = lambda: [texts(world, call) is not None for call in calls]  # noqa: E731
    assert is_found() == [True, True, True]
    world.clock.now_s += 2.5
    assert is_found() == [True, True, False]
    world.clock.now_s += 7.5
    assert is_found() == [False, True, False]
    world.clock.now_s += 10
    assert is_found() == [False, False, False]
    await world.end()
