"""What goes wrong around a turn, each case by name; each leaves the history that there is without speculation."""

import asyncio
import json
import threading

import pytest

from precall.calls import ToolCall
from precall.drafts.protocol import Prediction
from precall.events import EventKind, now_s
from precall.testing.scripted import ScriptedDraft, ScriptedGeneration, ScriptedTarget
from precall.testing.virtual_time import run_virtual
from precall.tools import Effect, Tool
from tests.precall.worlds import ANY_OBJECT, Run, World, call, generation, run_script, run_trajectory, sample


def compare(responses, samples, make_tools):
    """Run a script with and without speculation, each on tools of its own; check that the histories are the same, and
    return the run with it."""
    off = run_virtual(run_script(responses, make_tools()))
    on = run_virtual(run_script(responses, make_tools(), samples))
    assert on.messages == off.messages
    return on


def tool_of(function, **limits):
    return Tool(name="f", description="", parameters=ANY_OBJECT, function=function, effect=Effect.PURE, **limits)


def test_draft_slower_than_target():
    run = compare(
        [[generation(1.0, call("f"))]], [[sample(2.0, call("f"))]], lambda: [World().tool("f", Effect.PURE, 3.0)]
    )
    assert run.turn_ends_s == [4.0]
    assert run.outcomes == ["miss"]
    assert run.data(EventKind.DRAFT_ENDED, "is_cut_off") == [True]
    assert run.ledger.num_launched == 0


def test_draft_answers_after_the_turn():
    """A draft that does not stop when it is told to says what it has in the turn that follows: nothing comes of it."""

    class StubbornDraft:
        async def predict(self, messages, tools):
            sent_s = now_s()
            if sum(message["role"] == "assistant" for message in messages) == 0:
                try:
                    await asyncio.sleep(100.0)
                except asyncio.CancelledError:
                    await asyncio.sleep(1.0)  # in the second turn
                yield Prediction(sample=0, calls=(call("f", x="late"),), sent_s=sent_s)

    world, run = World(), Run()
    target = ScriptedTarget([[generation(1.0, call("f", x=1))], [generation(5.0, call("f", x="late"))]])
    run_virtual(run_trajectory(run, target, [world.tool("f", Effect.PURE, 0.5)], 2, StubbornDraft()))
    assert run.outcomes == ["miss", "miss"]
    assert run.ledger.num_launched == 0
    assert EventKind.CALL_PREDICTED not in {event.kind for event in run.events}
    assert not run.tasks_left


def test_two_samples_with_one_call():
    world = World()
    samples = [[sample(1.0, call("f", x=1)), sample(1.5, call("f", x=1))]]
    run = compare([[generation(4.0, call("f", x=1))]], samples, lambda: [world.tool("f", Effect.PURE, 1.0)])
    assert run.ledger.num_launched == run.ledger.num_used == 1
    assert run.data(EventKind.CALL_PREDICTED, "sample") == [0]


def test_several_calls_in_one_response():
    calls = [call("f", x=1), call("g"), call("f", x=2), call("f", x=1)]
    tools = [("f", 2.0), ("g", 6.0)]
    run = compare(
        [[generation(4.0, *calls)]],
        [[sample(1.0, call("g"), call("f", x=1), call("f", x=9))]],
        lambda: [World().tool(name, Effect.PURE, seconds) for name, seconds in tools],
    )
    # f(1) is ready; g runs from 1 to 7; f(2) is run until 9; f(1) is run again, since its execution is used up.
    assert run.outcomes == ["ready_hit", "pending_hit", "miss", "miss"]
    assert run.turn_ends_s == [11.0]
    assert sorted(run.fates) == ["cancelled", "used", "used"] or sorted(run.fates) == ["used", "used", "wasted"]


@pytest.mark.parametrize("arguments", ['{"x": 1', "[1]", '{"x": 1, "x": 2}', "{'x': 1}", '{"x": NaN}', "[" * 100_000])
def test_invalid_json_in_a_call(arguments):
    broken = ToolCall(name="f", arguments=arguments)
    run = compare(
        [[generation(4.0, broken, call("f", x=1))], [generation(1.0)]],
        [[sample(1.0, broken, call("f", x=1))]],
        lambda: [World().tool("f", Effect.PURE, 2.0)],
    )
    assert run.contents()[0].startswith("Error: The arguments of f are")
    assert run.outcomes == ["miss", "ready_hit"]
    assert run.data(EventKind.EXECUTION_REFUSED, "reason") == ["malformed"]


def test_a_tool_that_raises():
    def fail(**_):
        raise LookupError("no such key")

    run = compare(
        [[generation(4.0, call("f"))]], [[sample(1.0, call("f"))]], lambda: [World().tool("f", Effect.PURE, 1.0, fail)]
    )
    assert run.contents() == ["Error: LookupError: no such key"]
    assert (run.fates, run.outcomes) == (["failed"], ["miss"])  # it is run afresh


def test_a_tool_that_hangs():
    run = compare(
        [[generation(4.0, call("f"))]],
        [[sample(1.0, call("f"))]],
        lambda: [World().tool("f", Effect.PURE, 1e9, timeout_s=2.0)],
    )
    assert run.contents() == ["Error: f did not finish within 2 s."]
    assert (run.fates, run.outcomes) == (["failed"], ["miss"])
    assert run.turn_ends_s == [6.0]


def test_a_tool_that_hangs_and_is_not_asked_for_is_cancelled():
    world = World()
    run = compare(
        [[generation(4.0)]], [[sample(1.0, call("f"))]], lambda: [world.tool("f", Effect.PURE, 1e9, timeout_s=1e9)]
    )
    assert run.fates == ["cancelled"]
    assert world.log == [(1.0, "start", "f", None), (4.0, "cancelled", "f", None)]
    assert run.finished_s == 4.0


def test_a_plain_tool_that_is_cancelled_runs_on_in_its_thread_and_its_result_is_dropped():
    let_go, has_ended = threading.Event(), threading.Event()

    def work(**_):
        let_go.wait(30.0)
        has_ended.set()
        return "too late"

    async def main():
        run, target = Run(), ScriptedTarget([[generation(4.0)]])
        await run_trajectory(run, target, [tool_of(work)], 1, ScriptedDraft(turns=[[sample(1.0, call("f"))]]))
        assert not has_ended.is_set()  # nobody has waited for it
        let_go.set()
        await asyncio.to_thread(has_ended.wait, 30.0)
        return run

    run = asyncio.run(_at_once(main))
    assert run.fates == ["cancelled"]
    assert not run.tasks_left
    assert "too late" not in json.dumps(run.messages)


async def _at_once(main):
    """Run on real time: virtual time waits for threads. The scripted seconds pass as fast as the loop can."""
    loop = asyncio.get_running_loop()
    real_call_later = loop.call_later
    loop.call_later = lambda delay_s, *rest, **more: real_call_later(delay_s / 100.0, *rest, **more)
    return await main()


def test_a_tool_that_returns_10_mb():
    size = 10 * 1024 * 1024
    run = compare(
        [[generation(4.0, call("f"))], [generation(1.0)]],
        [[sample(1.0, call("f"))]],
        lambda: [World().tool("f", Effect.PURE, 1.0, lambda **_: "x" * size)],
    )
    (content,) = run.contents()
    assert content == "x" * 100_000 + f"\n[{size - 100_000} characters cut]"
    assert run.outcomes == ["ready_hit"]


def test_the_target_fails_while_executions_run():
    world, run = World(), Run()
    target = ScriptedTarget([[ScriptedGeneration(duration_s=4.0, failure="gone")]])
    tools = [world.tool("slow", Effect.PURE, 9.0), world.tool("fast", Effect.PURE, 1.0)]
    draft = ScriptedDraft(turns=[[sample(1.0, call("slow"), call("fast")), sample(50.0)]])
    with pytest.raises(RuntimeError, match="gone"):
        run_virtual(run_trajectory(run, target, tools, 1, draft))
    assert sorted(run.fates) == ["cancelled", "wasted"]
    assert (run.messages, run.finished_s) == ([{"role": "user", "content": "go"}], 4.0)
    assert draft.num_running == 0 and not run.tasks_left


def test_nothing_outlives_its_trajectory_whatever_is_under_way_when_it_is_left():
    world = World()
    tools = [world.tool("f", Effect.PURE, 100.0), world.tool("g", Effect.PURE, 100.0, max_concurrency=1)]
    predicted = [call("f"), *[call("g", x=index) for index in range(3)]]

    async def main():
        run, draft = Run(), ScriptedDraft(turns=[[sample(1.0, *predicted), sample(500.0)]])
        target = ScriptedTarget([[generation(400.0)]])
        task = asyncio.create_task(run_trajectory(run, target, tools, 1, draft))
        await asyncio.sleep(2.0)
        task.cancel()
        await asyncio.wait({task})
        return run, draft

    run, draft = run_virtual(main())
    assert run.fates == ["cancelled", "cancelled"]
    assert run.data(EventKind.EXECUTION_REFUSED, "reason") == ["limits of the tool"] * 2
    assert draft.num_running == 0
