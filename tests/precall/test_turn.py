"""A turn on virtual time, with and without client-side speculation, against timelines computed by hand.

G is the target's generation, g the draft's answer, T the tool's time; all in virtual seconds.
"""

from contextlib import aclosing
from dataclasses import replace

import pytest

from precall.calls import ToolCall
from precall.events import EventKind, EventRecorder, now_s
from precall.speculation import NoSpeculation
from precall.testing.scripted import ScriptedTarget
from precall.testing.virtual_time import run_virtual
from precall.tools import Effect, run_tool
from precall.turn import TurnRunner
from tests.precall.worlds import Run, World, call, generation, run_script, run_trajectory, sample


def one_turn(calls, samples, tools, **options):
    return run_virtual(run_script([[generation(4.0, *calls)]], tools, samples, **options))


def test_without_speculation_a_turn_takes_generation_plus_tool():
    run = one_turn([call("f")], None, [World().tool("f", Effect.PURE, 2.0)])
    assert run.turn_ends_s == [6.0]
    assert run.outcomes == ["miss"]


def test_a_ready_hit_hides_the_whole_tool_behind_the_generation():
    world = World()
    run = one_turn([call("f")], [[sample(1.0, call("f"))]], [world.tool("f", Effect.PURE, 2.0)])
    assert run.turn_ends_s == [4.0]  # max(G, g + T) = max(4, 1 + 2)
    assert run.outcomes == ["ready_hit"]
    assert world.starts("f") == [1.0]


def test_a_pending_hit_waits_for_the_rest_of_the_tool():
    world = World()
    run = one_turn([call("f")], [[sample(1.0, call("f"))]], [world.tool("f", Effect.PURE, 5.0)])
    assert run.turn_ends_s == [6.0]  # max(G, g + T) = max(4, 1 + 5)
    assert run.outcomes == ["pending_hit"]
    assert world.starts("f") == [1.0]


def test_a_wrong_draft_does_not_delay_the_turn():
    world = World()
    run = one_turn([call("f", x=1)], [[sample(1.0, call("f", x=2))]], [world.tool("f", Effect.PURE, 8.0)])
    assert run.turn_ends_s == [12.0]  # G + T = 4 + 8: the wrong call, which ran until 9, is cancelled at 12
    assert run.outcomes == ["miss"]
    slow, fast = world.tool("slow", Effect.PURE, 100.0), world.tool("fast", Effect.PURE, 2.0)
    run = one_turn([call("fast")], [[sample(1.0, call("slow"))]], [slow, fast])
    assert run.turn_ends_s == [6.0]
    assert run.finished_s == 6.0


def test_a_draft_slower_than_the_target_is_a_miss_and_launches_nothing():
    run = one_turn([call("f")], [[sample(5.0, call("f"))]], [World().tool("f", Effect.PURE, 2.0)])
    assert run.turn_ends_s == [6.0]
    assert run.outcomes == ["miss"]
    assert run.times_s(EventKind.EXECUTION_LAUNCHED) == []
    assert run.data(EventKind.CALL_SETTLED, "is_predicted") == [False]


def test_calls_of_a_turn_are_settled_in_order_each_from_where_the_last_ended():
    world = World()
    tools = [world.tool("a", Effect.PURE, 5.0), world.tool("b", Effect.PURE, 2.0), world.tool("c", Effect.PURE, 2.0)]
    calls = [call("a"), call("c"), call("b")]
    run = one_turn(calls, [[sample(1.0, call("b"), call("a"))]], tools)
    # a: max(4, 1 + 5) = 6; c, not predicted: 6 + 2 = 8; b was ready at 3.
    assert run.data(EventKind.CALL_SETTLED, "name") == ["a", "c", "b"]
    assert run.outcomes == ["pending_hit", "miss", "ready_hit"]
    assert run.times_s(EventKind.CALL_SETTLED) == [6.0, 8.0, 8.0]
    assert run.turn_ends_s == [8.0]


def test_observations_stand_in_the_order_of_the_calls_whatever_finished_first():
    world = World()
    tools = [
        world.tool("slow", Effect.PURE, 9.0, lambda x: f"slow {x}"),
        world.tool("fast", Effect.PURE, 1.0, lambda x: f"fast {x}"),
    ]
    calls = [call("slow", x=1), call("fast", x=2), call("fast", x=3)]
    for samples in (None, [[sample(1.0, *calls)]], [[sample(1.0, *reversed(calls))]]):
        run = one_turn(calls, samples, tools)
        assert run.contents() == ["slow 1", "fast 2", "fast 3"]
        tool_messages = [(m["tool_call_id"], m["content"]) for m in run.messages if m["role"] == "tool"]
        assert tool_messages == [("call_1", "slow 1"), ("call_2", "fast 2"), ("call_3", "fast 3")]


def test_the_history_gains_the_assistant_message_and_one_tool_message_per_call():
    run = one_turn([call("f", x=1)], None, [World().tool("f", Effect.PURE, 2.0, lambda x: {"got": x})])
    function = {"name": "f", "arguments": '{"x": 1}'}
    assert run.messages[1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": '{"got": 1}'},
    ]


def test_an_unknown_tool_is_an_error_observation_that_names_the_known_ones():
    tools = [World().tool("f", Effect.PURE, 2.0), World().tool("e", Effect.PURE, 2.0)]
    for samples in (None, [[sample(1.0, call("g"))]]):
        run = one_turn([call("g")], samples, tools)
        assert run.contents() == ["Error: there is no tool g; there are e, f."]
        assert run.turn_ends_s == [4.0]
        assert run.outcomes == ["miss"]
        assert run.data(EventKind.CALL_SETTLED, "is_eligible") == [False]
    assert run.data(EventKind.EXECUTION_REFUSED, "reason") == ["no such tool"]


@pytest.mark.parametrize("arguments", ['{"x": ', "[1]", '{"x": 1, "x": 1}', '{"x": ' + "[" * 700 + "]" * 700 + "}"])
def test_malformed_arguments_are_an_error_observation_and_run_nothing(arguments):
    world = World()
    malformed = ToolCall(name="f", arguments=arguments)
    for samples in (None, [[sample(1.0, malformed)]]):
        run = one_turn([malformed], samples, [world.tool("f", Effect.PURE, 2.0)])
        assert run.turns[0].observations[0].is_error
        assert run.contents()[0].startswith("Error: The arguments of f are ")
        assert run.turn_ends_s == [4.0]
    assert world.log == []
    assert run.data(EventKind.EXECUTION_REFUSED, "reason") == ["malformed"]


def test_malformed_arguments_do_not_keep_back_the_other_calls_of_the_turn():
    world = World()
    malformed = ToolCall(name="f", arguments="{")
    run = one_turn([malformed, call("f")], [[sample(1.0, malformed, call("f"))]], [world.tool("f", Effect.PURE, 2.0)])
    assert run.outcomes == ["miss", "ready_hit"]
    assert run.turn_ends_s == [4.0]


def test_a_confirmed_call_and_its_predicted_twin_have_the_same_occurrence():
    f = call("f", x=1)
    responses = [[generation(4.0, f, f)], [generation(4.0, f)]]
    for samples in (None, [[sample(1.0, f)], [sample(1.0, f)]]):
        seen = []

        async def executor(tool, tool_call, occurrence, seen=seen):
            seen.append((now_s(), occurrence))
            return await run_tool(tool, tool_call, occurrence)

        run_virtual(run_script(responses, [World().tool("f", Effect.PURE, 2.0)], samples, executor=executor))
        # The first is launched at 1 on prediction; its twin is no hit and runs at 4; the next turn begins at 6.
        assert seen == ([(4.0, 0), (6.0, 1), (12.0, 2)] if samples is None else [(1.0, 0), (4.0, 1), (7.0, 2)])


def test_leaving_a_response_early_closes_the_targets_stream_at_once():
    class WatchedTarget(ScriptedTarget):
        is_closed = False

        async def turns(self, messages, tools):
            try:
                async for turn in super().turns(messages, tools):
                    yield turn
            finally:
                self.is_closed = True

    async def main():
        target = WatchedTarget([[generation(4.0, call("f")), generation(4.0)]])
        recorder = EventRecorder("t", [].append)
        runner = TurnRunner(target, NoSpeculation(), [World().tool("f", Effect.PURE, 2.0)], run_tool, recorder)
        async with aclosing(runner.run_response([])) as turns:
            async for _ in turns:
                break
        assert target.is_closed

    run_virtual(main())


@pytest.mark.parametrize("is_continued", [[], [True], [False, False]])
def test_a_target_that_breaks_its_word_on_further_turns_is_found_out(is_continued):
    class LyingTarget(ScriptedTarget):
        async def turns(self, messages, tools):
            scripted = [[generation(1.0)]] * len(is_continued)
            for response, says in zip(scripted, is_continued, strict=True):
                async for turn in ScriptedTarget([response]).turns(messages, tools):
                    yield replace(turn, is_continued=says)

    async def main():
        await run_trajectory(Run(), LyingTarget([]), [], 1)

    with pytest.raises(AssertionError, match="the target"):
        run_virtual(main())


def test_the_event_of_a_generation_carries_its_times_and_counts():
    run = one_turn([call("f")], None, [World().tool("f", Effect.PURE, 2.0)])
    (event,) = [event for event in run.events if event.kind is EventKind.GENERATION_FINISHED]
    assert (event.time_s, event.turn) == (4.0, 0)
    assert event.data["sent_s"] == 0.0
    assert event.data["num_calls"] == 1
    assert event.data["num_output_tokens"] is None
    assert event.data["finish_reason"] == "tool_calls"


def test_turns_are_numbered_through_the_whole_trajectory():
    responses = [[generation(4.0, call("f")), generation(4.0, call("f"))], [generation(4.0)]]
    run = run_virtual(run_script(responses, [World().tool("f", Effect.PURE, 2.0)], []))
    assert [turn.index for turn in run.turns] == [0, 1, 2]
    assert [event.turn for event in run.events if event.kind is EventKind.TURN_STARTED] == [0, 1, 2]
    assert run.times_s(EventKind.TURN_STARTED) == [0.0, 6.0, 12.0]
    assert run.turn_ends_s == [6.0, 12.0, 16.0]
