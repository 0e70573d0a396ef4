"""Client-side speculation within a turn: what is launched, refused, dropped, run afresh and cancelled, and when."""

import asyncio
from dataclasses import replace

import pytest

from precall.errors import BackendError
from precall.events import EventKind, EventRecorder
from precall.policy import LaunchPolicy
from precall.speculation import ClientSpeculation, NoSpeculation
from precall.testing.scripted import ScriptedDraft, ScriptedGeneration, ScriptedSample, ScriptedTarget
from precall.testing.virtual_time import run_virtual
from precall.tools import Effect, run_tool
from tests.precall.worlds import Run, World, call, generation, run_script, run_trajectory, sample


def one_turn(calls, samples, tools, **options):
    return run_virtual(run_script([[generation(4.0, *calls)]], tools, [samples], **options))


def test_two_samples_with_the_same_call_launch_it_once():
    world = World()
    samples = [sample(1.0, call("f", x=1, y=2)), sample(2.0, call("f", y=2, x=1))]
    run = one_turn([call("f", x=1, y=2)], samples, [world.tool("f", Effect.PURE, 2.0)])
    assert world.starts("f") == [1.0]
    assert run.outcomes == ["ready_hit"]
    assert run.times_s(EventKind.CALL_PREDICTED) == [1.0]
    assert run.data(EventKind.DRAFT_ANSWERED, "sample") == [0, 1]


def test_each_sample_is_launched_when_it_is_complete():
    world = World()
    samples = [sample(3.0, call("f", x=1)), sample(1.0, call("f", x=2))]
    run = one_turn([call("f", x=1)], samples, [world.tool("f", Effect.PURE, 2.0)])
    assert world.starts("f") == [1.0, 3.0]
    assert run.data(EventKind.CALL_PREDICTED, "sample") == [1, 0]
    assert run.turn_ends_s == [5.0]


def test_a_call_confirmed_twice_in_a_turn_uses_its_execution_once():
    world = World()
    run = one_turn([call("f"), call("f")], [sample(1.0, call("f"))], [world.tool("f", Effect.PURE, 2.0)])
    assert run.outcomes == ["ready_hit", "miss"]
    assert world.starts("f") == [1.0, 4.0]
    assert run.turn_ends_s == [6.0]


@pytest.mark.parametrize("effect", [Effect.WRITE, Effect.UNKNOWN])
def test_a_predicted_call_that_may_change_state_is_refused_and_runs_when_confirmed(effect):
    world = World()
    run = one_turn([call("w", x=1)], [sample(1.0, call("w", x=1))], [world.tool("w", effect, 2.0)])
    assert world.starts("w") == [4.0]
    assert run.turn_ends_s == [6.0]
    assert run.data(EventKind.EXECUTION_REFUSED, "reason") == [f"effect {effect}"]
    assert run.data(EventKind.CALL_SETTLED, "is_predicted") == [True]
    assert run.data(EventKind.CALL_SETTLED, "is_eligible") == [False]


def test_the_budget_of_a_turn_bounds_its_executions_and_is_new_in_each_turn():
    world = World()
    tools = [world.tool("f", Effect.PURE, 2.0)]
    guesses = [sample(1.0, call("f", x=1), call("f", x=2), call("f", x=3))]
    policy = LaunchPolicy(max_executions_per_turn=2)
    responses = [[generation(4.0, call("f", x=3))], [generation(4.0)]]
    run = run_virtual(run_script(responses, tools, [guesses, guesses], policy=policy))
    assert run.data(EventKind.EXECUTION_REFUSED, "reason") == ["budget of the turn"] * 2
    assert run.outcomes == ["miss"]
    assert world.starts("f") == [1.0, 1.0, 4.0, 7.0, 7.0]


def test_a_failed_execution_is_run_afresh_when_its_call_is_confirmed():
    world, num_runs = World(), 0

    def fail_once(**_):
        nonlocal num_runs
        num_runs += 1
        if num_runs == 1:
            raise OSError("no route")
        return "fine"

    run = one_turn([call("f")], [sample(1.0, call("f"))], [world.tool("f", Effect.READ, 2.0, fail_once)])
    assert run.contents() == ["fine"]
    assert run.turn_ends_s == [6.0]
    assert (run.outcomes, run.fates) == (["miss"], ["failed"])


def test_an_execution_that_ran_out_of_time_is_run_afresh_when_its_call_is_confirmed():
    run = one_turn([call("f")], [sample(1.0, call("f"))], [World().tool("f", Effect.READ, 9.0, timeout_s=5.0)])
    assert run.contents() == ["Error: f did not finish within 5 s."]
    assert run.turn_ends_s == [11.0]  # out of time at 6, again at 11
    assert (run.outcomes, run.fates) == (["miss"], ["failed"])


@pytest.mark.parametrize("read_s", [1.0, 8.0])
def test_a_read_after_a_write_of_the_same_turn_sees_the_new_state(read_s):
    world = World()
    run = one_turn(
        [call("write", x=7), call("read")], [sample(1.0, call("read"))], [world.reader(read_s), world.writer(2.0)]
    )
    assert run.contents() == ["null", "[7]"]
    assert world.starts("read") == [1.0, 6.0]
    assert run.turn_ends_s == [6.0 + read_s]
    assert run.outcomes == ["miss", "miss"]
    assert run.fates == ["wasted" if read_s == 1.0 else "cancelled"]


def test_a_failed_write_drops_a_predicted_read_too():
    world = World()

    def write_and_fail(x):
        world.state.append(x)
        raise OSError("disk full")

    tools = [world.reader(1.0), world.tool("write", Effect.WRITE, 2.0, write_and_fail)]
    run = one_turn([call("write", x=7), call("read")], [sample(1.0, call("read"))], tools)
    assert run.contents() == ["Error: OSError: disk full", "[7]"]


def test_a_read_before_the_write_of_the_same_turn_is_a_hit_and_sees_the_old_state():
    world = World(state=[1])
    calls = [call("read"), call("write", x=7), call("read")]
    run = one_turn(calls, [sample(1.0, call("read"))], [world.reader(2.0), world.writer(2.0)])
    assert run.contents() == ["[1]", "null", "[1, 7]"]
    assert run.outcomes == ["ready_hit", "miss", "miss"]


def test_a_write_leaves_a_predicted_pure_call_alone():
    world = World()
    tools = [world.tool("pure", Effect.PURE, 2.0), world.writer(2.0)]
    run = one_turn([call("write", x=7), call("pure")], [sample(1.0, call("pure"))], tools)
    assert run.outcomes == ["miss", "ready_hit"]
    assert world.starts("pure") == [1.0]
    assert run.turn_ends_s == [6.0]


def test_what_a_turn_does_not_need_is_cancelled_or_written_off_when_the_target_has_spoken():
    world = World()
    tools = [world.tool("fast", Effect.PURE, 2.0), world.tool("slow", Effect.PURE, 100.0)]
    responses = [[generation(4.0, call("fast", x=1))], [generation(4.0)]]
    guesses = [sample(1.0, call("slow"), call("fast", x=2))]
    run = run_virtual(run_script(responses, tools, [guesses]))
    assert dict(zip(run.data(EventKind.EXECUTION_ENDED, "name"), run.fates, strict=True)) == {
        "slow": "cancelled",
        "fast": "wasted",
    }
    assert run.times_s(EventKind.EXECUTION_ENDED) == [4.0, 4.0]
    assert run.data(EventKind.EXECUTION_ENDED, "duration_s") == [3.0, 2.0]
    assert (4.0, "cancelled", "slow", None) in world.log
    assert run.finished_s == 10.0


def test_an_execution_of_one_turn_is_no_hit_in_the_next():
    world = World()
    tools = [world.reader(2.0)]
    responses = [[generation(4.0)], [generation(4.0, call("read"))]]
    run = run_virtual(run_script(responses, tools, [[sample(1.0, call("read"))]]))
    assert run.outcomes == ["miss"]
    assert run.data(EventKind.CALL_SETTLED, "is_predicted") == [False]
    assert world.starts("read") == [1.0, 8.0]


def test_a_failed_draft_does_not_end_the_turn_and_what_it_said_before_counts():
    samples = [sample(1.0, call("f")), ScriptedSample(delay_s=2.0, failure="draft is gone")]
    run = one_turn([call("f")], samples, [World().tool("f", Effect.PURE, 2.0)])
    assert run.turn_ends_s == [4.0]
    assert run.outcomes == ["ready_hit"]
    assert run.data(EventKind.DRAFT_FAILED, "message") == ["draft is gone"]
    assert run.times_s(EventKind.DRAFT_FAILED) == [2.0]


def test_a_failed_target_ends_the_response_and_leaves_no_task():
    async def main():
        run, draft = Run(), ScriptedDraft(turns=[[sample(1.0, call("f")), sample(50.0, call("f"))]])
        target = ScriptedTarget([[ScriptedGeneration(duration_s=4.0, failure="target is gone")]])
        with pytest.raises(BackendError, match="target is gone"):
            await run_trajectory(run, target, [World().tool("f", Effect.PURE, 100.0)], 1, draft)
        return run, draft

    run, draft = run_virtual(main())
    assert run.tasks_left == set()
    assert draft.num_running == 0
    assert run.finished_s == 4.0
    assert run.fates == ["cancelled"]
    assert run.messages == [{"role": "user", "content": "go"}]


@pytest.mark.parametrize("cancelled_at_s", [0.5, 2.0, 5.0, 6.5])
def test_a_cancelled_trajectory_leaves_no_task(cancelled_at_s):
    # The draft is asked until 4; `slow` runs from 1 to 6 and is awaited from 4; then `late`, a miss, until 8.
    world = World()
    tools = [world.tool("slow", Effect.PURE, 5.0), world.tool("late", Effect.PURE, 2.0)]

    async def main():
        run, draft = Run(), ScriptedDraft(turns=[[sample(1.0, call("slow")), sample(50.0)]])
        target = ScriptedTarget([[generation(4.0, call("slow"), call("late"))]])
        task = asyncio.create_task(run_trajectory(run, target, tools, 1, draft))
        await asyncio.sleep(cancelled_at_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return run, asyncio.all_tasks()

    run, tasks = run_virtual(main())
    assert len(tasks) == 1  # the one that asks
    assert run.finished_s == cancelled_at_s
    assert run.ledger.num_launched == (cancelled_at_s > 1.0)


def test_a_tool_that_is_slow_to_stop_does_not_delay_the_turn_and_is_awaited_at_the_end():
    world = World()

    async def stop_slowly(**_):
        try:
            await asyncio.sleep(100.0)
        finally:
            await asyncio.sleep(3.0)

    tools = [replace(world.tool("f", Effect.PURE, 1.0), function=stop_slowly)]
    run = one_turn([], [sample(1.0, call("f"))], tools)
    assert run.turn_ends_s == [4.0]
    assert run.finished_s == 7.0


def test_a_response_of_several_turns_is_speculated_on_in_each():
    world = World()
    tools = [world.tool("f", Effect.PURE, 2.0)]
    responses = [[generation(4.0, call("f", x=1)), generation(4.0, call("f", x=2)), generation(4.0)]]
    samples = [[sample(1.0, call("f", x=1))], [sample(1.0, call("f", x=2))]]
    run = run_virtual(run_script(responses, tools, samples))
    assert run.turn_ends_s == [4.0, 8.0, 12.0]
    assert run.outcomes == ["ready_hit", "ready_hit"]
    assert run.times_s(EventKind.DRAFT_STARTED) == [0.0, 4.0, 8.0]


def test_the_draft_is_asked_once_a_turn_and_not_after_the_last():
    responses = [[generation(4.0, call("f"))], [generation(4.0)]]
    run = run_virtual(run_script(responses, [World().tool("f", Effect.PURE, 2.0)], []))
    assert run.times_s(EventKind.DRAFT_STARTED) == [0.0, 6.0]


def test_the_history_that_a_draft_holds_does_not_grow_while_the_turn_goes_on():
    histories = []

    class KeepingDraft(ScriptedDraft):
        def predict(self, messages, tools):
            histories.append(messages)
            return super().predict(messages, tools)

    async def main():
        target = ScriptedTarget([[generation(4.0, call("f"))], [generation(4.0)]])
        await run_trajectory(Run(), target, [World().tool("f", Effect.PURE, 2.0)], 2, KeepingDraft(turns=[]))

    run_virtual(main())
    assert [len(history) for history in histories] == [1, 3]


def test_a_draft_with_an_error_of_its_own_is_reported_when_the_trajectory_closes():
    class BrokenDraft:
        async def predict(self, messages, tools):
            yield 1 / 0

    async def main():
        speculation = ClientSpeculation(BrokenDraft(), LaunchPolicy(), run_tool, EventRecorder("t", [].append))
        speculation.start_turn(0, [], [], {})
        await asyncio.sleep(1.0)
        speculation.end_turn()
        with pytest.raises(ZeroDivisionError):
            await speculation.aclose()
        return asyncio.all_tasks()

    assert len(run_virtual(main())) == 1


def test_speculation_off_predicts_nothing_and_tells_the_same_tools_apart():
    tools = [World().tool(str(effect), effect, 1.0) for effect in Effect]
    on = ClientSpeculation(ScriptedDraft(turns=[]), LaunchPolicy(), run_tool, EventRecorder("t", [].append))
    off = NoSpeculation()
    tools.append(World().workspace_tool("forkable", 1.0, lambda state: None))
    assert [off.is_eligible(tool) for tool in tools] == [True, True, False, False, False, True]
    assert [on.is_eligible(tool) for tool in tools] == [True, True, False, False, False, True]
