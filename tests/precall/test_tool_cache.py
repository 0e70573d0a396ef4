"""The client half of the engine side on virtual time, against timelines computed by hand.

G is the target's generation, g the draft's answer, T the tool's time. The engine is scripted: a turn whose calls are
all cached goes on in the same response.
"""

import asyncio
from dataclasses import replace

import pytest

from precall.calls import Observation
from precall.errors import BackendError
from precall.events import EventKind, EventRecorder
from precall.testing.scripted import ScriptedGeneration
from precall.testing.scripted_engine import ScriptedEngine
from precall.testing.virtual_time import run_virtual
from precall.tool_cache import ToolCachePublisher
from precall.tools import Effect
from tests.precall.worlds import World, call, generation, run_engine, sample

G = 4.0
ANSWER = generation(G)
F1 = [sample(1.0, call("f", x=1))]


def run(turns, samples, tools, **options):
    return run_virtual(run_engine([*turns, ANSWER], tools, samples, **options))


def posted(engine):
    """Return what was posted: seconds, tool and whether it was an announcement."""
    return [(time_s, output.name, output.is_running) for time_s, output in engine.posts]


def test_a_ready_hit_goes_on_in_the_same_response_and_no_tool_runs_again():
    world = World()
    tools = [world.tool("f", Effect.PURE, 2.0, lambda x: f"f of {x}")]
    on, engine = run([generation(G, call("f", x=1))], [F1], tools)
    assert posted(engine) == [(1.02, "f", True), (3.0, "f", False)]
    assert on.turn_ends_s == [4.0, 8.0]
    assert (on.outcomes, on.fates) == (["ready_hit"], ["used"])
    assert on.data(EventKind.CALL_SETTLED, "is_executed") == [True]
    assert on.data(EventKind.CALL_SETTLED, "duration_s") == [2.0]
    assert world.starts("f") == [1.0]
    assert len(engine.requests) == 1
    assert [message["role"] for message in on.messages] == ["user", "assistant", "tool", "assistant"]
    assert on.messages[2]["content"] == "f of 1"


def test_a_tool_that_ends_at_once_is_posted_and_not_announced():
    _, engine = run([generation(G, call("f", x=1))], [F1], [World().tool("f", Effect.PURE, 0.01)])
    assert posted(engine) == [(1.01, "f", False)]


def test_a_call_that_still_runs_is_awaited_by_the_engine_for_a_while():
    world = World()
    on, engine = run([generation(G, call("f", x=1))], [F1], [world.tool("f", Effect.PURE, 3.5)])
    assert on.turn_ends_s == [4.5, 8.5]  # g + T = 4.5, of which the engine waits 0.5
    assert on.outcomes == ["ready_hit"]
    assert (len(engine.requests), world.starts("f")) == (1, [1.0])


def test_a_miss_whose_tool_is_in_flight_is_awaited_and_the_tool_is_not_run_twice():
    world = World()
    on, engine = run([generation(G, call("f", x=1))], [F1], [world.tool("f", Effect.PURE, 6.0)])
    # The engine gives up at 5; the client takes the observation at 7, and sends the next request.
    assert on.times_s(EventKind.GENERATION_FINISHED) == [5.0, 11.0]
    assert on.turn_ends_s == [7.0, 11.0]
    assert (on.outcomes, on.fates, world.starts("f")) == (["pending_hit"], ["used"], [1.0])
    assert len(engine.requests) == 2
    assert posted(engine) == [(1.02, "f", True)], "the response to which the result belongs has ended"


def test_a_miss_without_an_execution_runs_the_tool_and_sends_a_request():
    world = World()
    wrong = [sample(1.0, call("f", x=2))]
    on, engine = run([generation(G, call("f", x=1))], [wrong], [world.tool("f", Effect.PURE, 2.0)])
    assert on.turn_ends_s == [6.0, 10.0]
    assert (on.outcomes, on.fates) == (["miss"], ["wasted"])
    assert (len(engine.requests), world.starts("f")) == (2, [1.0, 4.0])
    assert on.data(EventKind.CALL_SETTLED, "is_executed") == [False]


def test_two_executed_turns_and_an_answer_are_one_response_and_each_is_speculated_on_when_it_begins():
    world = World()
    turns = [generation(G, call("f", x=1)), generation(G, call("f", x=2))]
    on, engine = run(turns, [F1, [sample(1.0, call("f", x=2))]], [world.tool("f", Effect.PURE, 2.0)])
    assert on.turn_ends_s == [4.0, 8.0, 12.0]
    assert on.times_s(EventKind.DRAFT_STARTED) == [0.0, 4.0, 8.0]
    assert world.starts("f") == [1.0, 5.0]
    assert (on.outcomes, on.fates, len(engine.requests)) == (["ready_hit"] * 2, ["used"] * 2, 1)
    assert [turn.index for turn in on.turns] == [0, 1, 2]


def test_an_entry_of_an_earlier_turn_hits_and_both_balances_hold():
    world = World()
    turns = [generation(G, call("f", x=1)), generation(G, call("f", x=2))]
    # In the first turn both calls are predicted, in the second none.
    on, engine = run(turns, [[sample(1.0, call("f", x=1), call("f", x=2))]], [world.tool("f", Effect.PURE, 2.0)])
    assert on.turn_ends_s == [4.0, 8.0, 12.0]
    assert on.outcomes == ["ready_hit"] * 2
    assert on.fates == ["wasted", "used"]  # the second was written off when the target had spoken
    assert on.data(EventKind.CALL_SETTLED, "is_predicted") == [True, False]
    assert world.starts("f") == [1.0, 1.0]
    assert (on.ledger.num_ready_hits, on.ledger.num_used, on.ledger.num_executed) == (2, 1, 2)
    assert len(engine.requests) == 1


def test_a_second_execution_that_still_runs_when_an_earlier_entry_hits_is_stopped():
    world = World()
    seconds = iter([2.0, 50.0])

    async def function(**_):
        await asyncio.sleep(next(seconds))
        return "same"

    tools = [replace(world.tool("f", Effect.PURE, 0.0), function=function)]
    again = [sample(1.0, call("f", x=1))]
    on, engine = run([generation(G, call("f", x=1))] * 2, [F1, again], tools)
    assert on.turn_ends_s == [4.0, 8.0, 12.0]
    assert (on.outcomes, on.fates) == (["ready_hit"] * 2, ["used", "cancelled"])
    assert on.contents(1) == ["same"]
    assert len(engine.requests) == 1


def test_the_same_call_twice_in_an_executed_turn_settles_its_execution_once():
    world = World()
    on, _ = run([generation(G, call("f", x=1), call("f", x=1))], [F1], [world.tool("f", Effect.PURE, 2.0)])
    assert (on.outcomes, on.fates, world.starts("f")) == (["ready_hit"] * 2, ["used"], [1.0])
    assert on.ledger.num_used == 1


def test_calls_of_a_turn_hit_together_or_are_all_the_clients():
    world = World()
    tools = [world.tool("f", Effect.PURE, 2.0), world.writer(1.0)]
    samples = [[sample(1.0, call("f", x=1), call("write", x=7))]]
    on, engine = run([generation(G, call("f", x=1), call("write", x=7))], samples, tools)
    assert on.outcomes == ["ready_hit", "miss"]
    assert on.data(EventKind.CALL_SETTLED, "is_executed") == [False, False]
    assert (on.turn_ends_s, world.state, len(engine.requests)) == ([5.0, 9.0], [7], 2)


def test_what_was_read_before_a_write_is_no_hit_after_it():
    world = World()
    turns = [generation(G, call("write", x=7)), generation(G, call("read"))]
    on, _ = run(turns, [[sample(1.0, call("read"))]], [world.reader(1.0), world.writer(1.0)])
    assert on.contents(1) == ["[7]"]


def test_a_failed_observation_is_not_posted():
    world = World()
    tools = [world.tool("f", Effect.READ, 2.0, lambda **_: 1 / 0)]
    on, engine = run([generation(G, call("f", x=1))], [F1], tools)
    assert posted(engine) == []
    assert on.fates == ["failed"]
    assert on.contents() == ["Error: ZeroDivisionError: division by zero"]


@pytest.mark.parametrize("status", [403, 410, 500, None])
def test_a_post_that_fails_is_recorded_and_the_trajectory_goes_on_as_without_it(status):
    world = World()
    refusals = {0: status, 1: status}
    on, engine = run([generation(G, call("f", x=1))], [F1], [world.tool("f", Effect.PURE, 2.0)], refusals=refusals)
    assert on.data(EventKind.POST_FAILED, "status") == [status] * 2
    assert on.data(EventKind.POST_FAILED, "is_running") == [True, False]
    message = "the connection is lost" if status is None else f"scripted {status}"
    assert on.data(EventKind.POST_FAILED, "message") == [message] * 2
    assert (on.outcomes, on.turn_ends_s) == (["ready_hit"], [4.0, 8.0])
    assert (len(engine.requests), world.starts("f")) == (2, [1.0])


def test_a_post_that_arrives_when_its_response_has_ended_is_refused_and_harmless():
    on, engine = run([generation(G, call("f", x=1))], [F1], [World().tool("f", Effect.PURE, 2.0)], post_delay_s=3.5)
    assert [round(time_s, 9) for time_s, _ in engine.posts] == [4.52, 6.5]
    assert on.data(EventKind.POST_FAILED, "status") == [410, 410]
    assert (on.outcomes, on.turn_ends_s, len(engine.requests)) == (["ready_hit"], [4.0, 8.0], 2)


def test_a_post_on_its_way_does_not_outlive_the_trajectory():
    on, engine = run([], [F1], [World().tool("f", Effect.PURE, 2.0)], post_delay_s=50.0)
    assert on.finished_s == 4.0
    assert engine.posts == []


def test_what_belongs_to_an_earlier_response_is_dropped():
    async def main():
        engine, events = ScriptedEngine(script=[]), []
        publisher = ToolCachePublisher(engine, EventRecorder("t", events.append))
        tool = World().tool("f", Effect.PURE, 1.0)

        async def work():
            await asyncio.sleep(1.0)
            return Observation(content="late")

        publisher.launched(0, tool, call("f"), asyncio.ensure_future(work()))  # no response is open
        first = publisher.open()
        publisher.launched(0, tool, call("f"), asyncio.ensure_future(work()))
        await asyncio.sleep(0.01)
        second = publisher.open()
        publisher.close(first)  # must leave the second open
        await asyncio.sleep(2.0)
        assert (engine.posts, events) == ([], [])
        publisher.launched(1, tool, call("f"), asyncio.ensure_future(work()))
        await asyncio.sleep(2.0)
        assert [event.data["status"] for event in events] == [404, 404]  # posted; the script knows no such response
        assert {first.request_id, first.secret}.isdisjoint({second.request_id, second.secret})
        assert second.secret not in repr(second)

    run_virtual(main())


def test_a_failed_target_leaves_no_task():
    async def main():
        script = [ScriptedGeneration(duration_s=G, failure="target is gone")]
        with pytest.raises(BackendError, match="target is gone"):
            await run_engine(script, [World().tool("f", Effect.PURE, 100.0)], [F1])
        return asyncio.all_tasks()

    assert len(run_virtual(main())) == 1
