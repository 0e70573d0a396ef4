"""Samples whose calls are complete before they are: each is launched at once, and once."""

from precall.events import EventKind
from precall.testing.scripted import ScriptedSample
from precall.testing.virtual_time import run_virtual
from precall.tools import Effect
from tests.precall.worlds import World, call, generation, run_script


def one_turn(world, *samples):
    """Run a turn of 4 s that asks for f(x=1), a tool of 2 s."""
    tools = [world.tool("f", Effect.PURE, 2.0)]
    return run_virtual(run_script([[generation(4.0, call("f", x=1))]], tools, [samples]))


def test_a_call_is_launched_when_it_is_complete_and_not_when_its_sample_is():
    world = World()
    guess = ScriptedSample(delay_s=3.0, calls=(call("f", x=1), call("g"), call("f", x=2)), call_delays_s=(0.5, 1.0))
    run = one_turn(world, guess)
    assert world.starts("f") == [0.5, 3.0]
    assert run.times_s(EventKind.EXECUTION_REFUSED) == [1.0]  # g, which no tool answers to: once
    assert run.times_s(EventKind.DRAFT_ANSWERED) == [3.0]
    assert run.outcomes == ["ready_hit"]


def test_the_complete_calls_of_a_sample_that_the_target_overtakes_are_used():
    world = World()
    guess = ScriptedSample(delay_s=9.0, calls=(call("f", x=1), call("f", x=2)), call_delays_s=(1.0,))
    run = one_turn(world, guess)
    assert run.outcomes == ["ready_hit"]
    assert run.data(EventKind.CALL_SETTLED, "is_predicted") == [True]
    assert run.data(EventKind.DRAFT_ANSWERED, "sample") == []


def test_two_samples_that_come_to_the_same_call_at_different_times_launch_it_once():
    world = World()
    early = ScriptedSample(delay_s=3.0, calls=(call("f", x=2), call("f", x=1)), call_delays_s=(0.5, 1.5))
    late = ScriptedSample(delay_s=2.0, calls=(call("f", x=1), call("f", x=2)), call_delays_s=(1.0,))
    run = one_turn(world, early, late)
    assert world.starts("f") == [0.5, 1.0]
    assert run.data(EventKind.CALL_PREDICTED, "sample") == [0, 1]
    assert run.data(EventKind.DRAFT_ANSWERED, "sample") == [1, 0]
