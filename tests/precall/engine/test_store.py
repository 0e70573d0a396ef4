"""The tool cache by itself: keys under schemas, parallel calls, announcements and waiting, in virtual time."""

import asyncio

import pytest

from precall.calls import ToolCall
from precall.engine.entries import Tally
from precall.engine.settings import EngineSettings
from precall.engine.store import ToolCache
from precall.errors import ConfigError
from precall.testing.virtual_time import run_virtual
from precall.wire import ToolOutput

OWNER = b"owner"
SCHEMAS = {"f": {"properties": {"x": {"type": "number"}}}}


def cache_and_response(clock=lambda: 0.0, **settings):
    cache = ToolCache(EngineSettings(**settings), clock)
    return cache, cache.open("chatcmpl-1", OWNER, SCHEMAS)


def output(name, text, keep_alive_s=None, **params):
    return ToolOutput(name=name, params=params, output=text, keep_alive_s=keep_alive_s)


def call(name, arguments="{}"):
    return ToolCall(name=name, arguments=arguments)


def test_keys_are_canonicalised_under_the_schema_of_the_request():
    cache, response = cache_and_response()
    cache.put("chatcmpl-1", OWNER, [output("f", "number", x=1), output("g", "no schema", x=1)])
    assert response.find([call("f", '{"x": 1.0}')]).texts == ("number",)
    assert response.find([call("g", '{"x": 1.0}')]).texts is None
    assert response.find([call("g", ' {"x":1}')]).texts == ("no schema",)
    assert response.find([call("f", '{"x": 2}')]).texts is None


def test_of_two_entries_that_the_schema_makes_equal_the_later_is_found():
    cache, response = cache_and_response()
    cache.put("chatcmpl-1", OWNER, [output("f", "first", x=1), output("f", "second", x=1.0)])
    assert response.find([call("f", '{"x": 1}')]).texts == ("second",)
    cache.put("chatcmpl-1", OWNER, [output("f", "third", x=1)])
    assert response.find([call("f", '{"x": 1}')]).texts == ("third",)


def test_the_calls_of_a_turn_hit_together_in_their_order_or_not_at_all():
    cache, response = cache_and_response()
    cache.put("chatcmpl-1", OWNER, [output("a", "of a"), output("b", "of b")])
    assert response.find([call("b"), call("a")]).texts == ("of b", "of a")
    assert response.find([call("a"), call("a")]).texts == ("of a", "of a")
    assert response.find([call("a"), call("c")]).texts is None
    assert response.find([]).texts is None
    assert response.find([call("a", "not JSON")]).texts is None


def test_an_empty_output_is_an_output():
    cache, response = cache_and_response()
    cache.put("chatcmpl-1", OWNER, [output("a", "")])
    assert response.find([call("a")]).texts == ("",)


def test_entries_of_one_response_are_not_those_of_another():
    cache, first = cache_and_response()
    second = cache.open("chatcmpl-2", b"other", {})
    cache.put("chatcmpl-1", OWNER, [output("a", "of the first")])
    assert second.find([call("a")]).texts is None
    cache.close(second)
    assert first.find([call("a")]).texts == ("of the first",)


def test_closing_twice_or_late_does_not_touch_a_later_response_of_the_same_id():
    cache, first = cache_and_response()
    cache.close(first)
    second = cache.open("chatcmpl-1", OWNER, {})
    cache.close(first)
    assert cache.put("chatcmpl-1", OWNER, [output("a", "x")]) == 1
    assert second.find([call("a")]).texts == ("x",)


def test_the_tally_goes_back_to_zero():
    cache, response = cache_and_response()
    cache.put("chatcmpl-1", OWNER, [output("a", "x" * 10), output("b", "y")])
    cache.put("chatcmpl-1", OWNER, [output("a", "z")])
    cache.put("chatcmpl-2", OWNER, [output("a", "early")])
    assert (cache.count().num_entries, cache.count().num_bytes) == (3, (1 + 2 + 1) + (1 + 2 + 1) + (1 + 2 + 5))
    cache.close(response)
    cache.close(cache.open("chatcmpl-2", OWNER, {}))
    assert (cache.count().num_entries, cache.count().num_bytes) == (0, 0)
    assert (cache._tally, cache._early_tally) == (Tally(), Tally()), "what the bounds go by"


def test_half_a_surrogate_pair_in_an_output_is_replaced():
    cache, response = cache_and_response()
    cache.put("chatcmpl-1", OWNER, [output("a", "x\ud800y")])
    assert response.find([call("a")]).texts == ("x?y",)


def announced(name):
    return ToolOutput(name=name, params={}, is_running=True)


def wait_in_virtual_time(events, calls=("a",), timeout_s=5.0):
    """Post each (time, entries) and wait for the calls from time 0; return what was found, and when."""

    async def main():
        loop = asyncio.get_running_loop()
        cache, response = cache_and_response(loop.time)
        for time_s, entries in events:
            loop.call_at(time_s, cache.put, "chatcmpl-1", OWNER, entries)
        await asyncio.sleep(0.001)
        lookup = await response.wait([call(name) for name in calls], timeout_s)
        return lookup.texts, round(loop.time(), 2)

    return run_virtual(main())


def test_a_call_announced_as_running_is_waited_for():
    events = [(0, [announced("a")]), (2, [output("b", "unasked")]), (3, [output("a", "done")])]
    assert wait_in_virtual_time(events) == (("done",), 3)


def test_waiting_is_bounded():
    assert wait_in_virtual_time([(0, [announced("a")]), (6, [output("a", "late")])]) == (None, 5)


def test_nothing_is_waited_for_when_one_call_is_neither_cached_nor_announced():
    assert wait_in_virtual_time([(0, [announced("a")])], calls=("a", "b")) == (None, 0)


def test_a_wait_ends_with_the_response():
    async def main():
        loop = asyncio.get_running_loop()
        cache, response = cache_and_response(loop.time)
        cache.put("chatcmpl-1", OWNER, [announced("a")])
        loop.call_at(1, cache.close, response)
        lookup = await response.wait([call("a")], 5.0)
        return lookup.texts, loop.time()

    assert run_virtual(main()) == (None, 1)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"typo": 1}, "typo"),
        ({"max_entry_bytes": 0}, "max_entry_bytes"),
        ({"max_entry_bytes": 1.5}, "max_entry_bytes"),
        ({"max_entry_bytes": True}, "max_entry_bytes"),
        ({"default_ttl_s": "1"}, "default_ttl_s"),
        ({"default_ttl_s": float("nan")}, "default_ttl_s"),
        ({"default_ttl_s": 601}, "default_ttl_s"),
        ({"single_user": 1}, "single_user"),
        ([], "additional-config"),
    ],
)
def test_a_setting_that_is_wrong_is_named(given, named):
    with pytest.raises(ConfigError, match=named):
        EngineSettings.from_additional_config({"precall": given})


def test_settings_have_defaults():
    for nothing in (None, {}, {"precall": {}}, {"another": 1}):
        assert EngineSettings.from_additional_config(nothing) == EngineSettings()
    assert EngineSettings.from_additional_config({"precall": {"early_ttl_s": 3}}).early_ttl_s == 3
