"""The short way in: trajectories that one speculator makes, on virtual time."""

import asyncio

import pytest

from precall.errors import BackendError, ConfigError
from precall.events import EventKind
from precall.ledger import Ledger
from precall.policy import LaunchPolicy
from precall.speculator import Speculator
from precall.testing.scripted import ScriptedDraft, ScriptedGeneration, ScriptedTarget
from precall.testing.virtual_time import run_virtual
from precall.tools import Effect
from tests.precall.worlds import World, call, generation, sample

CALL = call("f", x=1)
QUESTION = {"role": "user", "content": "go"}


def speculator_of(world, responses=None, draft_says=CALL, **options):
    """Return a speculator whose target takes 4 s for a call of `f`, a tool of 2 s, and 1 s for its answer."""
    target = ScriptedTarget(responses or [[generation(4.0, CALL)], [generation(1.0)]])
    draft = None if draft_says is None else ScriptedDraft(turns=[[sample(1.0, draft_says)]])
    return Speculator(target, draft, [world.tool("f", Effect.READ, 2.0)], **options)


async def answer(speculator, draft=None):
    """Run one trajectory to its answer, and return its history, its ledger and the seconds it took."""
    messages, started_s = [QUESTION], asyncio.get_running_loop().time()
    async with speculator.trajectory(draft) as trajectory:
        while messages[-1]["role"] != "assistant":
            await trajectory.turn(messages)
    return messages, trajectory.ledger, asyncio.get_running_loop().time() - started_s


def test_a_loop_of_turns_ends_with_the_answer_and_the_tool_is_hidden():
    messages, ledger, seconds = run_virtual(answer(speculator_of(World())))
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "assistant"]
    assert messages[-1]["content"] == "done"
    assert seconds == 5.0
    assert (ledger.num_ready_hits, ledger.num_launched, ledger.num_turns) == (1, 1, 2)


def test_without_a_draft_the_same_loop_is_not_speculated_on():
    speculated, _, _ = run_virtual(answer(speculator_of(World())))
    messages, ledger, seconds = run_virtual(answer(speculator_of(World(), draft_says=None)))
    assert messages == speculated
    assert seconds == 7.0
    assert (ledger.num_misses, ledger.num_launched, ledger.num_drafted_turns) == (1, 0, 0)


def test_a_turn_is_handed_back_with_its_generation_and_observations():
    async def main():
        async with speculator_of(World()).trajectory() as trajectory:
            return await trajectory.turn([QUESTION])

    turn = run_virtual(main())
    assert [each.name for each in turn.generation.tool_calls] == ["f"]
    assert [each.content for each in turn.observations] == ["ok"]


def test_trajectories_have_histories_of_their_own_and_share_the_limits_of_tools():
    world = World()
    tools = [world.tool("f", Effect.PURE, 2.0, max_concurrency=1)]
    target = ScriptedTarget([[generation(9.0, CALL)], [generation(9.0, CALL)]])
    speculator = Speculator(target, ScriptedDraft(turns=[[sample(1.0, CALL)]]), tools)

    async def one():
        async with speculator.trajectory() as trajectory:
            await trajectory.turn([QUESTION])

    async def main():
        await asyncio.gather(one(), one())

    run_virtual(main())
    assert world.starts("f") == [1.0, 3.0]  # one after the other


def test_the_sink_hears_of_all_trajectories_and_their_ledgers_add_up():
    events, world = [], World()
    responses = [[generation(4.0, CALL)], [generation(1.0)]] * 2
    speculator = speculator_of(world, responses, sink=events.append)

    async def main():
        return [(await answer(speculator))[1] for _ in range(2)]

    ledgers = run_virtual(main())
    assert Ledger.from_events(events).num_confirmed == sum(ledger.num_confirmed for ledger in ledgers) == 2
    assert {event.trajectory_id for event in events} == {"trajectory 1", "trajectory 2"}
    kinds = [event.kind for event in events if event.trajectory_id == "trajectory 2"]
    assert (kinds[0], kinds[-1]) == (EventKind.TRAJECTORY_STARTED, EventKind.TRAJECTORY_FINISHED)


def test_a_trajectory_may_have_a_draft_of_its_own():
    async def main():
        own = ScriptedDraft(turns=[[sample(1.0, call("f", x=2))]])
        _, ledger, _ = await answer(speculator_of(World()), own)
        return ledger, own

    ledger, own = run_virtual(main())
    assert own.num_asked == 2
    assert (ledger.num_matched, ledger.num_wasted) == (0, 1)


def test_the_policy_bounds_what_runs_ahead():
    _, ledger, _ = run_virtual(answer(speculator_of(World(), policy=LaunchPolicy(max_cost_per_trajectory=0.0))))
    assert ledger.num_refused_by_reason == {"budget of the trajectory": 1}


def test_a_failed_turn_settles_what_it_began_leaves_the_history_alone_and_may_be_tried_again():
    world = World()
    failing = [ScriptedGeneration(duration_s=2.0, failure="gone")]
    speculator = speculator_of(world, [failing, [generation(4.0, CALL)], [generation(1.0)]])

    async def main():
        messages = [QUESTION]
        async with speculator.trajectory() as trajectory:
            with pytest.raises(BackendError, match="gone"):
                await trajectory.turn(messages)
            assert messages == [QUESTION]
            assert (trajectory.ledger.num_launched, trajectory.ledger.num_cancelled) == (1, 1)
            while messages[-1]["role"] != "assistant":
                await trajectory.turn(messages)
        return messages

    assert run_virtual(main())[-1]["content"] == "done"
    assert [(time_s, what) for time_s, what, _, _ in world.log][:2] == [(1.0, "start"), (2.0, "cancelled")]


def test_an_error_of_the_callers_own_closes_the_trajectory_and_is_on_record():
    events, world = [], World()

    async def main():
        async with speculator_of(world, sink=events.append).trajectory() as trajectory:
            turning = asyncio.create_task(trajectory.turn([QUESTION]))
            await asyncio.sleep(2.0)
            turning.cancel()
            await asyncio.wait({turning})
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        run_virtual(main())
    assert events[-1].data == {"status": "failed", "message": "mine"}
    assert [what for _, what, _, _ in world.log] == ["start", "cancelled"]


@pytest.mark.parametrize("when", ["before", "after", "beside"])
def test_a_turn_outside_its_place_is_refused(when):
    async def main():
        trajectory = speculator_of(World()).trajectory()
        if when == "before":
            await trajectory.turn([QUESTION])
        async with trajectory:
            if when == "beside":
                beside = asyncio.create_task(trajectory.turn([QUESTION]))
                await asyncio.sleep(1.0)
                try:
                    await trajectory.turn([QUESTION])
                finally:
                    await beside
        await trajectory.turn([QUESTION])

    state = "at work on a turn" if when == "beside" else "not open"
    with pytest.raises(ConfigError, match=f"The trajectory is {state}; turns are taken one at a time"):
        run_virtual(main())
