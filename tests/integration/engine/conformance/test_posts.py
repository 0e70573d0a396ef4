"""POST /cache-tool-output/{response_id} on the real engine: the tables of docs/tool-cache.md, answer and effect.

What is cached shows in what the engine does: a call that is cached is executed, any other comes back to the client.
"""

import asyncio
import json

import pytest

from precall.wire import SECRET_HEADER
from tests.integration.engine.conformance.place import (
    CALL,
    ENTRY,
    OTHER_SECRET,
    SECRET,
    call_text,
    check_error,
    new_id,
)

pytestmark = [pytest.mark.engine, pytest.mark.conformance]

RUNNING = {"name": "f", "params": {"x": 1}, "running": True}


def outputs_of(reply):
    return [message["content"] for turn in reply.executed for message in turn["messages"][1:]]


async def outputs_after(place, *posts):
    """What the engine holds for f(1) after these posts, all of them early."""
    request_id = new_id()
    for post in posts:
        answer = await place.post(request_id, post)
        assert (answer.status_code, answer.json()) == (200, {"cached": 1})
    return outputs_of(await place.chat([CALL, "done"], request_id=request_id))


async def test_an_early_post_is_used_and_one_with_another_secret_is_dropped(several_users):
    request_id = new_id()
    await several_users.post(request_id, [ENTRY | {"output": "forged"}], secret=OTHER_SECRET)
    assert (await several_users.chat([CALL], request_id=request_id)).names == ["f"]
    request_id = new_id()
    await several_users.post(request_id, [ENTRY | {"output": "forged"}], secret=OTHER_SECRET)
    assert (await several_users.post(request_id, [ENTRY])).json() == {"cached": 1}
    assert outputs_of(await several_users.chat([CALL, "done"], request_id=request_id)) == ["one"]


async def test_of_a_key_named_twice_or_posted_twice_the_later_output_is_used(several_users):
    later = ENTRY | {"output": "later"}
    assert await outputs_after(several_users, [ENTRY, later]) == ["later"]
    assert await outputs_after(several_users, [ENTRY], [later]) == ["later"]


async def test_an_announcement_does_not_replace_an_output_and_an_output_replaces_an_announcement(several_users):
    assert await outputs_after(several_users, [ENTRY], [RUNNING]) == ["one"]
    assert await outputs_after(several_users, [RUNNING], [ENTRY]) == ["one"]


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (ENTRY | {"params": {"x": 1.0}}, "one"),
        ({"name": "f", "params": {"x": 1}, "output": {"a": [1, None]}}, '{"a": [1, null]}'),
        ({"name": "f", "params": {"x": 1}, "output": ""}, ""),
        (ENTRY | {"keep_alive": 60}, "one"),
        (ENTRY | {"name": "g"}, None),
        (ENTRY | {"params": {"x": 2}}, None),
        ({"name": "f", "output": "no arguments"}, None),
        (ENTRY | {"keep_alive": 0.001}, None),
    ],
    ids=["equal number", "JSON output", "empty output", "keep_alive", "other tool", "other arguments", "none", "over"],
)
async def test_an_entry_serves_the_call_with_its_key_and_no_other(several_users, entry, text):
    assert await outputs_after(several_users, [entry]) == ([] if text is None else [text])


async def test_an_entry_serves_as_often_as_it_is_asked_for(several_users):
    request_id = new_id()
    await several_users.post(request_id, [ENTRY])
    assert outputs_of(await several_users.chat([CALL, CALL, "done"], request_id=request_id)) == ["one", "one"]


async def test_a_post_for_a_living_response_is_taken_and_one_after_its_end_is_not(several_users):
    request_id = new_id()
    async with several_users.living(request_id):
        assert (await several_users.post(request_id, [ENTRY, ENTRY | {"name": "g"}])).json() == {"cached": 2}
    for _ in range(100):
        answer = await several_users.post(request_id, [ENTRY])
        if answer.status_code != 200:
            break
        await asyncio.sleep(0.05)
    check_error(answer, 410)
    check_error(await several_users.post(request_id, [ENTRY], secret=OTHER_SECRET), 403)


async def test_a_post_after_the_turn_that_asked_for_it_has_missed_is_too_late(several_users):
    request_id = new_id()
    assert (await several_users.chat([CALL], request_id=request_id)).names == ["f"]
    check_error(await several_users.post(request_id, [ENTRY]), 410)


async def test_an_id_that_no_chat_response_can_have_is_unknown(several_users):
    url = f"{several_users.root}/cache-tool-output/cmpl-1"
    check_error(await several_users.client.post(url, json=[ENTRY], headers=several_users.headers(secret=SECRET)), 404)


async def test_without_the_key_nothing_is_taken(several_users):
    request_id = new_id()
    for authorization in ("", "Bearer wrong", several_users.key):
        check_error(await several_users.post(request_id, [ENTRY], Authorization=authorization), 401)
    assert (await several_users.chat([CALL], request_id=request_id)).names == ["f"]


async def test_without_a_secret_nothing_is_taken_and_a_secret_has_a_length(several_users):
    request_id = new_id()
    check_error(await several_users.post(request_id, [ENTRY], secret=None), 403)
    for secret in ("short", "x" * 257):
        check_error(await several_users.post(request_id, [ENTRY], secret=secret), 400)
        check_error(await several_users.chat_raw([CALL], request_id=request_id, secret=secret), 400)
    assert (await several_users.chat([CALL], request_id=request_id)).names == ["f"]


async def test_another_owners_post_is_refused_and_leaves_the_context_unchanged(several_users):
    """The forged output is posted while the response lives: had it been taken, it would be what is appended."""
    request_id = new_id()
    await several_users.post(request_id, [ENTRY])
    turns = [CALL, call_text(x=2), "done"]
    async with several_users.streaming(turns, request_id=request_id) as events:
        await several_users.post(request_id, [RUNNING | {"params": {"x": 2}}])
        executed = []
        async for event in events:
            if not executed:
                forged = [ENTRY | {"params": {"x": 2}, "output": "forged"}]
                check_error(await several_users.post(request_id, forged, secret=OTHER_SECRET), 403)
                mine = [ENTRY | {"params": {"x": 2}, "output": "mine"}]
                assert (await several_users.post(request_id, mine)).json() == {"cached": 1}
            executed += event.get("precall", {}).get("executed_turns", [])
    assert [turn["messages"][1]["content"] for turn in executed] == ["one", "mine"]
    assert "forged" not in several_users.tokenizer.decode(executed[1]["result_token_ids"])


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{}",
        b'[{"name": "f", "output": 1, "output": 2}]',
        b'[{"name": "f", "params": {"x": NaN}, "output": 1}]',
        [{"output": 1}],
        [ENTRY, {"name": "f"}],
        [ENTRY | {"keepalive": 1}],
        [ENTRY | {"running": True}],
    ],
    ids=lambda body: (body if isinstance(body, bytes) else json.dumps(body))[:40],
)
async def test_a_malformed_body_is_refused_whole(several_users, body):
    request_id = new_id()
    check_error(await several_users.post(request_id, body), 422)
    assert (await several_users.chat([CALL], request_id=request_id)).names == ["f"]


async def test_a_request_opts_in_with_a_secret_and_options_that_exist(several_users):
    for options in ({"typo": 1}, {"max_response_tokens": 0}, {"turn_xargs": "x"}):
        check_error(await several_users.chat_raw([CALL], request_id=new_id(), precall=options), 400)
    for options in (None, [], True):
        sent = several_users.body([CALL]) | {"precall": options}
        headers = several_users.headers(new_id(), SECRET)
        url = f"{several_users.root}/v1/chat/completions"
        check_error(await several_users.client.post(url, json=sent, headers=headers), 400)
    check_error(await several_users.chat_raw([CALL], request_id=new_id(), secret=None), 400)


async def test_a_living_id_cannot_be_reused_and_an_ended_one_starts_empty(several_users):
    request_id = new_id()
    async with several_users.living(request_id):
        await several_users.post(request_id, [ENTRY])
        for secret in (SECRET, OTHER_SECRET):
            check_error(await several_users.chat_raw([CALL], request_id=request_id, secret=secret), 409)
        assert (await several_users.post(request_id, [ENTRY])).json() == {"cached": 1}, "the first one lives on"
    for _ in range(100):
        answer = await several_users.chat_raw([CALL], request_id=request_id, secret=OTHER_SECRET)
        if answer.status_code != 409:
            break
        await asyncio.sleep(0.05)
    (choice,) = answer.json()["choices"]
    assert choice["finish_reason"] == "tool_calls" and "precall" not in answer.json()


async def test_the_papers_plain_form_works_on_a_single_user_server(single_user):
    request_id = new_id()
    assert (await single_user.post(request_id, [ENTRY], secret=None)).json() == {"cached": 1}
    assert outputs_of(await single_user.chat([CALL, "x"], request_id=request_id, secret=None)) == ["one"]
    async with single_user.living(new_id(), secret=None, precall={"turn_xargs": []}):
        pass
    bound = new_id()
    async with single_user.living(bound):
        check_error(await single_user.post(bound, [ENTRY], secret=None), 403)
        answer = await single_user.post(bound, [ENTRY], secret=None, **{SECRET_HEADER: SECRET})
        assert answer.status_code == 200
