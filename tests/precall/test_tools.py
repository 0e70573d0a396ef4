"""Running one tool call: whatever the tool does, there is an observation, and nothing else happens."""

import asyncio
import sys
import threading
from functools import partial

import pytest

from precall.calls import ToolCall
from precall.errors import ConfigError
from precall.testing.virtual_time import run_virtual
from precall.tools import Effect, Tool, run_tool
from tests.precall.worlds import call


def tool(function, **limits):
    return Tool(name="f", description="does it", parameters={"type": "object"}, function=function, **limits)


def observe(function, arguments=None, **limits):
    return run_virtual(run_tool(tool(function, **limits), call("f", **(arguments or {}))))


async def async_echo(**arguments):
    return arguments


def sync_echo(**arguments):
    return arguments


@pytest.mark.parametrize("echo", [async_echo, sync_echo, partial(async_echo), partial(sync_echo)])
def test_a_tool_gets_its_arguments_by_keyword_and_its_value_comes_back_as_json(echo):
    observation = observe(echo, {"x": [1, None], "y": "ü"})
    assert observation.content == '{"x": [1, null], "y": "ü"}'
    assert not observation.is_error


@pytest.mark.parametrize(
    ("returned", "content"),
    [("a  text\n", "a  text\n"), (None, "null"), (True, "true"), ({1: 2}, '{"1": 2}'), ({3}, '"{3}"'), ("", "")],
)
def test_text_is_returned_as_it_is_and_all_else_as_json(returned, content):
    assert observe(lambda: returned).content == content


def test_a_callable_object_with_an_asynchronous_call_is_awaited():
    class Echo:
        async def __call__(self, x):
            await asyncio.sleep(1.0)
            return x

    assert observe(Echo(), {"x": "hello"}).content == "hello"
    assert observe(lambda x: Echo()(x), {"x": "hello"}).content == "hello"


def raise_now(error):
    raise error


async def raise_soon(error):
    await asyncio.sleep(1.0)
    raise error


@pytest.mark.parametrize("raising", [raise_now, raise_soon])
@pytest.mark.parametrize(
    "error",
    [OSError("no route"), TimeoutError("its own"), SystemExit(3), asyncio.CancelledError("its own")],
)
def test_whatever_a_tool_raises_is_an_error_observation_that_names_it(raising, error):
    observation = observe(partial(raising, error))
    assert observation.is_error
    assert observation.content.startswith("Error: ")
    assert type(error).__name__ in observation.content
    assert str(error) in observation.content


@pytest.mark.parametrize("error", [StopIteration("x"), GeneratorExit("x"), KeyboardInterrupt("x")])
def test_what_only_a_thread_can_raise_is_an_error_observation_too(error):
    assert observe(partial(raise_now, error)).content == f"Error: RuntimeError: {type(error).__name__}: x"


def test_sys_exit_in_a_thread_ends_the_call_alone():
    assert observe(lambda: sys.exit(1)).content == "Error: RuntimeError: SystemExit: 1"


def test_wrong_arguments_are_an_error_observation():
    observation = observe(lambda x: x, {"y": 1})
    assert observation.is_error
    assert "unexpected keyword argument 'y'" in observation.content


def test_malformed_arguments_are_an_error_observation_and_the_tool_is_not_called():
    called = []
    observation = run_virtual(run_tool(tool(called.append), ToolCall(name="f", arguments="[1]")))
    assert observation.content == "Error: The arguments of f are a JSON list; they must be an object."
    assert observation.is_error
    assert called == []


def test_an_asynchronous_tool_that_hangs_is_stopped_at_its_time_limit():
    stopped = []

    async def hang():
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(True)

    observation = observe(hang, timeout_s=2.5)
    assert observation.content == "Error: f did not finish within 2.5 s."
    assert (observation.is_error, observation.duration_s, stopped) == (True, 2.5, [True])


def test_a_plain_tool_that_hangs_is_left_behind_at_its_time_limit_and_blocks_no_other():
    release = threading.Event()

    async def main():
        hanging = tool(lambda: release.wait(60.0), timeout_s=0.05)
        observations = await asyncio.gather(*(run_tool(hanging, call("f")) for _ in range(50)))
        return observations, await run_tool(tool(lambda: "quick"), call("f"))

    try:
        observations, quick = asyncio.run(main())  # real time: a thread cannot be made to hang in virtual time
    finally:
        release.set()
    assert {observation.content for observation in observations} == {"Error: f did not finish within 0.05 s."}
    assert quick.content == "quick"


def test_a_plain_tool_that_answers_after_its_loop_has_closed_disturbs_nobody():
    release, ended = threading.Event(), threading.Event()
    errors = []
    hook, threading.excepthook = threading.excepthook, errors.append

    def work():
        release.wait(10.0)
        ended.set()

    try:
        assert asyncio.run(run_tool(tool(work, timeout_s=0.01), call("f"))).is_error
        release.set()
        assert ended.wait(10.0)
        for thread in threading.enumerate():
            if thread.name == "precall-tool":
                thread.join(10.0)
    finally:
        threading.excepthook = hook
    assert errors == []


@pytest.mark.parametrize("num_chars", [9, 10, 11, 50])
def test_an_observation_above_its_limit_is_cut_and_says_by_how_much(num_chars):
    observation = observe(lambda: "ü" * num_chars, max_observation_chars=10)
    tail = "" if num_chars <= 10 else f"\n[{num_chars - 10} characters cut]"
    assert observation.content == "ü" * min(num_chars, 10) + tail
    assert not observation.is_error


def test_an_observation_can_always_be_sent_as_utf_8():
    for function in (lambda: "a\ud800b", lambda: {"x": "\udcff"}, partial(raise_now, OSError("\udcff"))):
        assert observe(function).content.encode()


def test_the_duration_is_the_tools_own_time():
    async def work():
        await asyncio.sleep(3.0)

    assert observe(work).duration_s == 3.0


@pytest.mark.parametrize("is_plain", [False, True])
def test_cancelling_a_call_raises_in_the_caller_and_leaves_no_task(is_plain):
    release = threading.Event()

    async def work():
        await asyncio.sleep(100.0)

    async def main():
        running = asyncio.create_task(run_tool(tool((lambda: release.wait(60.0)) if is_plain else work), call("f")))
        await asyncio.sleep(0.0)
        await asyncio.sleep(0.0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return asyncio.all_tasks()

    try:
        assert len(run_virtual(main())) == 1
    finally:
        release.set()


def test_only_writes_and_unknown_effects_change_state_and_unknown_is_the_default():
    writing = [Effect.WORKSPACE, Effect.WRITE, Effect.UNKNOWN]
    assert [effect for effect in Effect if effect.changes_state] == writing
    assert tool(sync_echo).effect is Effect.UNKNOWN


@pytest.mark.parametrize("effect", [effect for effect in Effect if effect is not Effect.WORKSPACE])
def test_a_fork_for_a_tool_that_changes_what_no_fork_holds_is_refused(effect):
    with pytest.raises(ConfigError, match=f"Tool f has a fork and effect {effect}; its effect must be workspace"):
        tool(sync_echo, effect=effect, fork=sync_echo)


@pytest.mark.parametrize("limits", [{"timeout_s": 0.0}, {"timeout_s": -1.0}, {"max_observation_chars": 0}])
def test_a_limit_outside_its_rule_is_refused_and_named(limits):
    (name,) = limits
    with pytest.raises(ConfigError, match=f"{name} of tool f is {limits[name]}; it must be"):
        tool(sync_echo, **limits)


def test_the_openai_form_holds_name_description_and_schema():
    function = {"name": "f", "description": "does it", "parameters": {"type": "object"}}
    assert tool(sync_echo).to_openai() == {"type": "function", "function": function}
