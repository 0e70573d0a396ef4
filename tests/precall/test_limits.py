"""Limits of tools: what waits, what gives way to a confirmed call, and what no limit ever delays."""

import asyncio
from dataclasses import replace

import pytest

from precall.errors import ConfigError
from precall.events import EventKind
from precall.limits import ToolLimiter
from precall.policy import LaunchPolicy
from precall.testing.scripted import ScriptedDraft, ScriptedTarget
from precall.testing.virtual_time import run_virtual
from precall.tools import Effect
from tests.precall.worlds import Run, World, call, generation, run_script, run_trajectory, sample


def one_turn(calls, samples, tools, **options):
    return run_virtual(run_script([[generation(4.0, *calls)]], tools, [samples], **options))


def serial(world, seconds, **limits):
    return world.tool("f", Effect.READ, seconds, **{"max_concurrency": 1} | limits)


def test_a_serial_tool_runs_one_execution_at_a_time_in_the_order_of_the_predictions():
    world = World()
    guess = sample(1.0, call("f", x=1), call("f", x=2), call("f", x=3))
    run = one_turn([call("f", x=2)], [guess], [serial(world, 1.25)])
    assert world.log[:4] == [
        (1.0, "start", "f", 1),
        (2.25, "end", "f", 1),
        (2.25, "start", "f", 2),
        (3.5, "end", "f", 2),
    ]
    assert world.starts("f") == [1.0, 2.25, 3.5]
    assert run.outcomes == ["ready_hit"]
    assert run.turn_ends_s == [4.0]


def test_an_execution_that_found_no_room_before_the_target_had_spoken_is_refused_and_was_not_launched():
    guess = sample(1.0, call("f", x=1), call("f", x=2))
    run = one_turn([call("f", x=1)], [guess], [serial(World(), 9.0)])
    assert run.data(EventKind.EXECUTION_REFUSED, "reason") == ["limits of the tool"]
    assert (run.ledger.num_launched, run.outcomes, run.turn_ends_s) == (1, ["pending_hit"], [10.0])


def test_a_waiting_execution_whose_call_is_confirmed_is_a_miss_that_runs_at_once():
    world = World()
    run = one_turn([call("f", x=2)], [sample(1.0, call("f", x=1), call("f", x=2))], [serial(world, 9.0)])
    assert run.outcomes == ["miss"]
    assert world.log[1:3] == [(4.0, "cancelled", "f", 1), (4.0, "start", "f", 2)]
    assert run.turn_ends_s == [13.0]


def test_a_confirmed_call_takes_the_place_of_the_newest_execution_even_of_one_whose_call_follows():
    world = World()
    guess = sample(1.0, call("f", x=1), call("f", x=2))
    calls = [call("f", x=3), call("f", x=1), call("f", x=2)]
    run = one_turn(calls, [guess], [serial(world, 4.0, max_concurrency=2)])
    assert run.outcomes == ["miss", "ready_hit", "miss"]
    # At 4 the second gives way to the third, which is confirmed; the first goes on beside it until 5.
    assert [entry for entry in world.log if entry[0] == 4.0] == [(4.0, "cancelled", "f", 2), (4.0, "start", "f", 3)]
    assert run.turn_ends_s == [12.0]


def test_a_confirmed_call_waits_until_what_gives_way_has_stopped():
    world = World()
    tool = serial(world, 9.0)

    async def stop_slowly(**arguments):
        try:
            return await tool.function(**arguments)
        except asyncio.CancelledError:
            await asyncio.sleep(0.5)
            raise

    run = one_turn([call("f", x=2)], [sample(1.0, call("f", x=1))], [replace(tool, function=stop_slowly)])
    assert world.starts("f") == [1.0, 4.5]
    assert run.turn_ends_s == [13.5]


def trajectory(run, limiter, tools, calls, guesses, seconds=4.0):
    target = ScriptedTarget([[generation(seconds, *calls)]])
    return run_trajectory(run, target, tools, 1, ScriptedDraft(turns=[guesses]), limiter=limiter)


def test_trajectories_that_share_a_limiter_share_the_limits_and_confirmed_calls_go_first():
    world, runs, limiter = World(), [Run(), Run()], ToolLimiter()
    tools = [serial(world, 6.0)]

    async def main():
        await asyncio.gather(
            trajectory(runs[0], limiter, tools, [call("f", x=1)], [sample(1.0, call("f", x=1))], seconds=4.0),
            trajectory(runs[1], limiter, tools, [call("f", x=2)], [sample(0.5, call("f", x=9))], seconds=2.0),
        )

    run_virtual(main())
    # The other's guess runs from 0.5, gives way at 2 to its own trajectory's confirmed call, which ends at 8. The first
    # trajectory's waits from 1 on, and its call is run when it is confirmed, at 4, as it would be without speculation.
    assert world.starts("f") == [0.5, 2.0, 4.0]
    assert [run.outcomes for run in runs] == [["miss"], ["miss"]]
    assert [run.turn_ends_s for run in runs] == [[10.0], [8.0]]


def test_an_execution_that_is_awaited_gives_way_to_nothing():
    world, runs, limiter = World(), [Run(), Run()], ToolLimiter()
    tools = [serial(world, 6.0)]

    async def main():
        await asyncio.gather(
            trajectory(runs[0], limiter, tools, [call("f", x=1)], [sample(1.0, call("f", x=1))], seconds=2.0),
            trajectory(runs[1], limiter, tools, [call("f", x=2)], [], seconds=3.0),
        )

    run_virtual(main())
    assert [run.outcomes for run in runs] == [["pending_hit"], ["miss"]]
    assert world.starts("f") == [1.0, 3.0]


def test_a_rate_spreads_executions_and_leaves_one_start_of_every_second_to_confirmed_calls():
    world = World()
    tool = world.tool("f", Effect.READ, 0.25, max_rate_per_s=3.0)
    guess = sample(0.5, *(call("f", x=number) for number in range(5)))
    run = one_turn([call("f", x=9)], [guess], [tool])
    assert world.starts("f") == [0.5, 0.5, 1.5, 1.5, 2.5, 4.0]
    assert run.turn_ends_s == [4.25]


def test_confirmed_calls_count_towards_the_rate():
    world = World()
    tool = world.tool("f", Effect.READ, 0.25, max_rate_per_s=2.0)
    responses = [[generation(4.0, call("f", x=1))], [generation(4.0, call("f", x=2))]]
    run = run_virtual(run_script(responses, [tool], [[], [sample(0.0, call("f", x=2))]]))
    # Confirmed at 4, answered at 4.25; the next prediction, at 4.25 too, has to wait until 5.
    assert world.starts("f") == [4.0, 5.0]
    assert run.outcomes == ["miss", "ready_hit"]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [({"max_rate_per_s": 1.5}, "rate of the tool"), ({"can_reach_outside": True}, "reaches outside")],
)
def test_a_tool_that_speculation_must_leave_alone_is_refused_by_reason_and_not_eligible(limits, reason):
    policy = LaunchPolicy(can_reach_outside=False)
    tool = World().tool("f", Effect.PURE, 1.0, **limits)
    run = one_turn([call("f")], [sample(1.0, call("f"))], [tool], policy=policy)
    assert run.data(EventKind.EXECUTION_REFUSED, "reason") == [reason]
    assert run.data(EventKind.CALL_SETTLED, "is_eligible") == [False]
    assert run.outcomes == ["miss"]


def test_a_serial_tool_that_cannot_be_stopped_is_never_launched():
    tool = replace(serial(World(), 1.0), function=lambda **_: "ok")
    assert LaunchPolicy().refusal(tool, 0) == "cannot be stopped"
    assert LaunchPolicy().allows(replace(tool, max_concurrency=None))


def test_the_budget_of_the_trajectory_bounds_what_was_not_used_and_a_used_execution_gives_its_cost_back():
    world = World()
    tool = world.tool("f", Effect.PURE, 1.0, cost=2.0)
    policy = LaunchPolicy(max_cost_per_trajectory=5.0)
    responses = [[generation(4.0, call("f", x=1))], [generation(4.0, call("f", x=4))], [generation(4.0)]]
    guesses = [
        [sample(1.0, *(call("f", x=number) for number in (1, 2, 3)))],  # two launched, the first used
        [sample(1.0, *(call("f", x=number) for number in (4, 5)))],  # one launched, used
        [sample(1.0, *(call("f", x=number) for number in (6, 7)))],  # one launched, wasted
    ]
    run = run_virtual(run_script(responses, [tool], guesses, policy=policy))
    assert run.data(EventKind.EXECUTION_REFUSED, "reason") == ["budget of the trajectory"] * 3
    assert run.fates == ["wasted", "used", "used", "wasted"]
    assert world.starts("f") == [1.0, 1.0, 5.0, 9.0]


@pytest.mark.parametrize(
    "limits", [{"cost": -1.0}, {"max_concurrency": 0}, {"max_rate_per_s": 0.0}, {"max_rate_per_s": float("nan")}]
)
def test_limits_outside_their_rules_are_refused_and_named(limits):
    with pytest.raises(ConfigError, match=f"{next(iter(limits))} of tool f is"):
        World().tool("f", Effect.PURE, 1.0, **limits)
    with pytest.raises(ConfigError, match="max_cost_per_trajectory is -1"):
        LaunchPolicy(max_cost_per_trajectory=-1.0)
