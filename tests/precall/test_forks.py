"""Predicted calls that write, in forks: committed when they are confirmed, discarded when not, and never in between."""

import asyncio
from dataclasses import replace

import pytest

from precall.errors import ForkError
from precall.events import EventKind
from precall.policy import LaunchPolicy
from precall.testing.virtual_time import run_virtual
from precall.tools import Effect
from tests.precall.worlds import World, call, generation, run_engine, run_script, sample


def append(state, x=0):
    state.append(x)
    return list(state)


def one_turn(world, tools, confirmed, predicted, target_s=4.0, **options):
    """Run a turn in which the target asks for `confirmed` after `target_s` and the draft for `predicted` after 1 s."""
    responses = [[generation(target_s, *confirmed)], [generation(0.0)]]
    run = run_virtual(run_script(responses, tools, [[sample(1.0, *predicted)]], **options))
    assert world.num_forks == 0, "a fork was neither committed nor discarded"
    return run


def test_a_predicted_write_is_committed_when_it_is_confirmed_and_not_before():
    world = World(state=[5])
    seen = []
    look = world.tool("look", Effect.PURE, 0.0, lambda **_: seen.append(list(world.state)))
    write = world.workspace_tool("write", 1.0, append)
    run = one_turn(world, [write, look], [call("look"), call("write", x=7)], [call("write", x=7)])
    assert run.outcomes == ["miss", "ready_hit"]
    assert seen == [[5]]  # at 4 s, when the write had been done, in its fork
    assert world.state == [5, 7]
    assert run.contents()[1] == "[5, 7]"
    assert run.turn_ends_s[0] == 4.0
    (commit,) = [event.data for event in run.events if event.kind is EventKind.COMMIT_ENDED]
    assert commit == {
        "name": "write",
        "arguments": '{"x":7}',
        "has_changed": True,
        "fork_s": 0.0,
        "duration_s": 0.0,
        "message": None,
    }


def test_a_write_that_still_runs_is_awaited_and_then_committed():
    world = World()
    run = one_turn(world, [world.workspace_tool("write", 5.0, append)], [call("write", x=7)], [call("write", x=7)])
    assert (run.outcomes, world.state, run.turn_ends_s[0]) == (["pending_hit"], [7], 6.0)


def test_a_write_that_nobody_asks_for_leaves_no_trace():
    world = World(state=[5])
    write = world.workspace_tool("write", 1.0, append)
    run = one_turn(world, [write], [call("write", x=1)], [call("write", x=2), call("write", x=3)])
    assert world.state == [5, 1]
    assert run.outcomes == ["miss"]
    assert run.fates == ["wasted", "wasted"]


def test_a_write_that_is_cancelled_leaves_no_trace_whether_its_fork_has_been_made_or_not():
    for fork_s in (0.0, 5.0):
        world = World(state=[5])
        write = world.workspace_tool("write", 9.0, append, fork_s=fork_s)
        run = one_turn(world, [write], [], [call("write", x=2)])
        assert (world.state, run.fates) == ([5], ["cancelled"])


def test_of_two_forks_of_one_state_one_is_committed_and_the_other_call_is_run_anew():
    world = World()
    write = world.workspace_tool("write", 1.0, append)
    wanted = [call("write", x=1), call("write", x=2)]
    run = one_turn(world, [write], wanted, wanted)
    assert run.contents() == ["[1]", "[1, 2]"]
    assert run.outcomes == ["ready_hit", "miss"]
    assert run.fates == ["used", "wasted"]
    assert run.turn_ends_s[0] == 5.0


def test_calls_that_turn_out_to_change_nothing_are_all_used():
    world = World(state=[5])
    look = world.workspace_tool("look", 1.0, lambda state, **_: list(state))
    read, write = world.reader(1.0), world.workspace_tool("write", 1.0, append)
    wanted = [call("look", x=1), call("look", x=2), call("read"), call("write", x=7)]
    run = one_turn(world, [look, read, write], wanted, wanted)
    assert run.outcomes == ["ready_hit"] * 4
    assert run.turn_ends_s[0] == 4.0


def test_what_was_read_before_a_committed_write_is_read_again():
    world = World(state=[5])
    wanted = [call("write", x=7), call("read")]
    run = one_turn(world, [world.workspace_tool("write", 1.0, append), world.reader(1.0)], wanted, wanted)
    assert run.contents() == ["[5, 7]", "[5, 7]"]
    assert run.outcomes == ["ready_hit", "miss"]


def test_a_fork_of_a_state_that_others_have_changed_is_not_committed_and_its_observation_not_used():
    world = World(state=[5])

    def meddle(**_):
        world.state.append(6)
        world.version += 1

    # Declared pure, so that nobody but the fork itself can notice.
    tools = [world.workspace_tool("write", 1.0, append), world.tool("meddle", Effect.PURE, 0.0, meddle)]
    run = one_turn(world, tools, [call("meddle"), call("write", x=7)], [call("write", x=7)])
    assert world.state == [5, 6, 7]
    assert run.contents()[1] == "[5, 6, 7]"
    assert run.outcomes == ["miss", "miss"]
    assert run.fates == ["wasted"]
    assert run.data(EventKind.COMMIT_ENDED, "has_changed") == [None]
    assert run.data(EventKind.COMMIT_ENDED, "message") == ["the state has changed"]


def test_a_write_that_fails_half_way_in_its_fork_is_run_in_place():
    world = World()

    def fail(state, **_):
        state.append(1)
        raise ValueError("half done")

    run = one_turn(world, [world.workspace_tool("write", 1.0, fail)], [call("write")], [call("write")])
    assert world.state == [1]
    assert (run.outcomes, run.fates) == (["miss"], ["failed"])
    assert run.contents() == ["Error: ValueError: half done"]


def test_a_fork_that_cannot_be_made_is_a_failed_execution():
    world = World()

    async def refuse():
        raise ForkError("No space left on device")

    write = replace(world.workspace_tool("write", 1.0, append), fork=refuse)
    run = one_turn(world, [write], [call("write", x=7)], [call("write", x=7)])
    assert (run.outcomes, run.fates, world.state) == (["miss"], ["failed"], [7])
    assert run.data(EventKind.EXECUTION_ENDED, "duration_s") == [None]
    assert run.ledger.num_failed == 1


def test_the_time_that_a_fork_takes_is_not_the_tools_own():
    world = World()
    write = world.workspace_tool("write", 1.0, append, fork_s=0.5, timeout_s=1.2)
    run = one_turn(world, [write], [call("write", x=7)], [call("write", x=7)])
    assert run.outcomes == ["ready_hit"]
    assert run.data(EventKind.EXECUTION_ENDED, "duration_s") == [1.0]
    assert run.data(EventKind.COMMIT_ENDED, "fork_s") == [0.5]


@pytest.mark.parametrize("is_forking", [True, False])
def test_a_policy_without_forks_launches_no_write(is_forking):
    world = World()
    write = world.workspace_tool("write", 1.0, append)
    policy = LaunchPolicy(is_forking=is_forking)
    run = one_turn(world, [write], [call("write", x=7)], [call("write", x=7)], policy=policy)
    assert run.outcomes == ["ready_hit" if is_forking else "miss"]
    assert run.data(EventKind.EXECUTION_REFUSED, "reason") == [] if is_forking else ["effect workspace without a fork"]
    assert world.state == [7]


def test_a_discard_that_fails_is_reported_when_the_trajectory_closes():
    world = World()
    write = world.workspace_tool("write", 1.0, append)
    make = write.fork

    async def make_sticky():
        made = await make()

        class Sticky:
            function, commit = staticmethod(made.function), made.commit

            async def discard(self):
                raise OSError("could not be removed")

        return Sticky()

    with pytest.raises(OSError, match="could not be removed"):
        one_turn(world, [replace(write, fork=make_sticky)], [], [call("write", x=7)])


@pytest.mark.parametrize("cancelled_at_s", [1.2, 2.0, 3.9, 4.1, 4.6, 5.5])
def test_whenever_a_trajectory_is_cancelled_no_fork_is_left(cancelled_at_s):
    world = World()
    write = world.workspace_tool("write", 4.0, append, fork_s=0.5)
    responses = [[generation(4.0, call("write", x=1))], [generation(0.0)]]

    async def main():
        task = asyncio.create_task(run_script(responses, [write], [[sample(1.0, call("write", x=1))]]))
        await asyncio.sleep(cancelled_at_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtual(main())
    assert world.num_forks == 0
    assert world.state in ([], [1])


def test_what_was_done_in_a_fork_is_posted_to_no_engine():
    world = World()
    tools = [world.workspace_tool("write", 0.5, append), world.tool("pure", Effect.PURE, 0.5)]
    wanted = (call("write", x=7),), (call("pure"),), ()
    script = [generation(4.0, *calls) for calls in wanted]
    samples = [[sample(1.0, *calls)] for calls in wanted]
    run, _ = run_virtual(run_engine(script, tools, samples))
    assert set(run.data(EventKind.OUTPUT_POSTED, "name")) == {"pure"}
    assert run.data(EventKind.CALL_SETTLED, "is_executed") == [False, True]
    assert run.outcomes == ["ready_hit", "ready_hit"]
    assert (world.state, world.num_forks) == ([7], 0)
