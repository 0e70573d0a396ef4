"""Limits of tools: what waits, what gives way to a confirmed call, and what no limit ever delays."""

import asyncio
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precall.errors import ConfigError
from precall.events import EventKind, now_s
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
    assert world.log[:4] == [(1.0, "start", "f", 1), (2.25, "end", "f", 1), (2.25, "start", "f", 2), (3.5, "end", "f", 2)]
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


SECONDS = st.integers(0, 24).map(lambda eighths: eighths / 8)
NUMBERS = st.integers(0, 3)
TURNS = st.lists(st.tuples(SECONDS, st.lists(NUMBERS, max_size=3)), min_size=1, max_size=4)
AGENTS = st.lists(
    TURNS.flatmap(
        lambda turns: st.tuples(
            st.just(turns),
            st.lists(
                st.lists(st.tuples(SECONDS, st.lists(NUMBERS, max_size=3)), max_size=2),
                min_size=len(turns),
                max_size=len(turns),
            ),
        )
    ),
    min_size=1,
    max_size=3,
)


class Service:
    """A tool that agents share: it really takes `num` calls at once, others queue up inside it. `max_at_execution` is
    how many calls it had, at most, when an execution began; a confirmed call runs in the task of its agent."""

    def __init__(self, num, seconds):
        self.room = asyncio.Semaphore(num)
        self.seconds = seconds
        self.starts = []
        self.agents = set()
        self.num_running = self.max_at_execution = 0

    async def run(self):
        self.starts.append(now_s())
        self.num_running += 1
        if asyncio.current_task() not in self.agents:
            self.max_at_execution = max(self.max_at_execution, self.num_running)
        try:
            async with self.room:
                await asyncio.sleep(self.seconds)
        finally:
            self.num_running -= 1
        return "ok"


async def agents_at_work(agents, num, seconds, *, is_speculating):
    service, limiter, runs = Service(num, seconds), ToolLimiter(), [Run() for _ in agents]

    async def function(**_):
        return await service.run()

    tool = replace(World().tool("f", Effect.READ, 0.0, max_concurrency=num, timeout_s=1e6), function=function)

    async def work(run, turns, guesses):
        service.agents.add(asyncio.current_task())
        target = ScriptedTarget([[generation(s, *(call("f", x=x) for x in xs))] for s, xs in turns])
        samples = [[sample(s, *(call("f", x=x) for x in xs)) for s, xs in turn] for turn in guesses]
        draft = ScriptedDraft(turns=samples) if is_speculating else None
        await run_trajectory(run, target, [tool], len(turns), draft, limiter=limiter)

    await asyncio.gather(*(work(run, *agent) for run, agent in zip(runs, agents, strict=True)))
    assert asyncio.all_tasks() == {asyncio.current_task()}, "something outlived its trajectory"
    return runs, service


@settings(max_examples=80, deadline=None)
@given(AGENTS, st.integers(1, 2), SECONDS)
def test_executions_never_exceed_a_tools_concurrency(agents, num, seconds):
    runs, service = run_virtual(agents_at_work(agents, num, seconds, is_speculating=True))
    assert service.max_at_execution <= num
    for run, (turns, _) in zip(runs, agents, strict=True):
        assert run.ledger.num_confirmed == sum(len(xs) for _, xs in turns)  # the balances hold, too, or this raises


@settings(max_examples=80, deadline=None)
@given(AGENTS.map(lambda agents: agents[:1]), st.integers(1, 2), SECONDS)
def test_speculation_on_a_tool_that_is_serial_delays_no_turn(agents, num, seconds):
    (off,), _ = run_virtual(agents_at_work(agents, num, seconds, is_speculating=False))
    (on,), _ = run_virtual(agents_at_work(agents, num, seconds, is_speculating=True))
    assert on.messages == off.messages
    for on_s, off_s in zip(on.turn_ends_s, off.turn_ends_s, strict=True):
        assert on_s <= off_s + 1e-9


RATES = st.integers(2, 4)


@settings(max_examples=60, deadline=None)
@given(AGENTS, RATES)
def test_what_speculation_begins_never_fills_a_tools_rate(agents, rate):
    limiter, runs, begun = ToolLimiter(), [Run() for _ in agents], []
    tool = World().tool("f", Effect.READ, 0.125, max_rate_per_s=float(rate))

    async def work(run, turns, guesses):
        target = ScriptedTarget([[generation(s, *(call("f", x=x) for x in xs))] for s, xs in turns])
        samples = [[sample(s, *(call("f", x=x) for x in xs)) for s, xs in turn] for turn in guesses]
        await run_trajectory(run, target, [tool], len(turns), ScriptedDraft(turns=samples), limiter=limiter)

    async def main():
        await asyncio.gather(*(work(run, *agent) for run, agent in zip(runs, agents, strict=True)))

    run_virtual(main())
    for run in runs:
        begun += [(event.time_s, True) for event in run.events if event.kind is EventKind.EXECUTION_LAUNCHED]
        begun += [
            (event.data["confirmed_s"], False)
            for event in run.events
            if event.kind is EventKind.CALL_SETTLED and event.data["outcome"] == "miss"
        ]
    for time_s, is_speculative in begun:
        if is_speculative:
            # Of the second that ends here, what began earlier; at this very moment the order is not known.
            before = sum(time_s - 1.0 < other_s < time_s for other_s, _ in begun)
            together = sum(other_s == time_s and is_one for other_s, is_one in begun)
            assert before + together <= rate - 1


def test_arguments_of_the_property_tests_reach_the_tool():
    runs, service = run_virtual(agents_at_work([([(1.0, [1])], [[(0.5, [1])]])], 1, 2.0, is_speculating=True))
    assert service.starts == [0.5]
    assert json.loads(runs[0].turns[0].generation.tool_calls[0].arguments) == {"x": 1}
