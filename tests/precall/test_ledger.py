"""The ledger against a trajectory counted by hand, and against events that contradict each other."""

from dataclasses import replace

import pytest

from precall.events import Event, EventKind
from precall.executions import Fate, Outcome
from precall.ledger import Ledger
from precall.policy import LaunchPolicy
from precall.testing.virtual_time import run_virtual
from precall.tools import Effect
from tests.precall.worlds import World, call, generation, run_script, sample


def test_a_trajectory_counted_by_hand():
    world = World()
    tools = [
        world.tool("quick", Effect.PURE, 1.0),
        world.tool("slow", Effect.READ, 5.0),
        world.tool("broken", Effect.READ, 1.0, lambda: 1 / 0),
        world.writer(1.0),
    ]
    responses = [
        # Launched at 1: quick 1, ready at 2; quick 2, never asked for; slow, cancelled by the write at 5.
        [generation(4.0, call("quick", x=1), call("write", x=1), call("slow"))],
        # Begins at 10. Launched at 11: slow, awaited until 16; broken, fails at 11 and is run again at 16.
        [generation(4.0, call("slow"), call("broken"), call("unknown"))],
        # Begins at 16. The draft has not answered when the answer comes at 20.
        [generation(4.0)],
    ]
    samples = [
        [sample(1.0, call("quick", x=1), call("write", x=1), call("quick", x=2), call("slow"), call("quick", x=3))],
        [sample(1.0, call("slow"), call("broken"), call("unknown"))],
        [sample(9.0, call("slow"))],
    ]
    for samples_of_turn, num_output_tokens in zip(samples, (5, 7, 9), strict=True):
        samples_of_turn[0] = replace(samples_of_turn[0], num_output_tokens=num_output_tokens)
    run = run_virtual(run_script(responses, tools, samples, policy=LaunchPolicy(max_executions_per_turn=3)))
    assert run.turn_ends_s == [10.0, 16.0, 20.0]
    assert run.ledger == Ledger(
        num_launched=5,
        num_used=2,  # quick 1, slow of the second turn
        num_wasted=1,  # quick 2
        num_cancelled=1,  # slow of the first turn
        num_failed=1,  # broken
        num_refused_by_reason={
            "effect write": 1,
            "budget of the turn": 1,
            "no such tool": 1,
        },  # write, quick 3, unknown
        num_confirmed=6,
        num_ready_hits=1,
        num_pending_hits=1,
        num_misses=4,
        num_matched=5,  # all but unknown, which no tool answers to
        num_eligible=4,  # quick, slow, slow, broken
        num_executed=0,
        saved_tool_s=1.0 + 3.0,  # quick 1; of slow's 5 s in the second turn, those before it was confirmed at 14
        wasted_tool_s=1.0 + 4.0 + 0.0,  # quick 2; slow from 1 to 5; broken fails at once
        num_turns=3,
        num_turns_with_calls=2,
        num_fired_turns=2,
        num_drafted_turns=3,
        num_skipped_by_reason={},
        num_cut_off_drafts=1,
        drafting_s=1.0 + 1.0 + 4.0,
        num_draft_prompt_tokens=None,  # nobody counted them
        num_draft_output_tokens=5 + 7,
        num_prompt_tokens=None,
        num_output_tokens=None,
    )
    assert run.ledger.num_refused == 3
    assert run.ledger.call_acceptance_rate == 5 / 6
    assert run.ledger.eligible_share == 4 / 6
    assert (run.ledger.fired_share, run.ledger.drafted_share) == (1.0, 1.0)


def test_an_empty_ledger_has_no_rates():
    ledger = Ledger.from_events([])
    rates = (ledger.call_acceptance_rate, ledger.eligible_share, ledger.fired_share, ledger.drafted_share)
    assert rates == (None, None, None, None)


def test_a_turn_has_fired_when_something_was_launched_before_the_target_had_spoken_whatever_it_was():
    world = World()
    tools = [world.tool("f", Effect.PURE, 1.0), world.writer(1.0)]
    responses = [
        [generation(4.0, call("f", x=1))],  # fires, wrongly
        [generation(4.0, call("write", x=1))],  # predicted, refused
        [generation(4.0, call("f", x=2))],  # predicted too late
        [generation(4.0, call("f", x=3), call("f", x=4))],  # fires
        [generation(4.0)],  # fires, but has no call
    ]
    samples = [
        [sample(1.0, call("f", x=9))],
        [sample(1.0, call("write", x=1))],
        [sample(5.0, call("f", x=2))],
        [sample(1.0, call("f", x=3))],
        [sample(1.0, call("f", x=5))],
    ]
    ledger = run_virtual(run_script(responses, tools, samples)).ledger
    assert (ledger.num_turns, ledger.num_turns_with_calls, ledger.num_fired_turns) == (5, 4, 2)
    assert ledger.fired_share == 0.5
    assert ledger.num_cut_off_drafts == 1


def test_what_is_not_known_of_one_call_is_not_known_of_all():
    known = {"confirmed_s": 0.0, "duration_s": 2.0}
    hits = [settled(Outcome.READY_HIT, **known), settled(Outcome.READY_HIT, **known | {"duration_s": None})]
    assert Ledger.from_events([*uses(1), hits[0]]).saved_tool_s == 2.0
    assert Ledger.from_events([*uses(2), *hits]).saved_tool_s is None
    answered = [event(EventKind.DRAFT_ANSWERED, num_prompt_tokens=3, num_output_tokens=num) for num in (5, None)]
    ledger = Ledger.from_events(answered)
    assert (ledger.num_draft_prompt_tokens, ledger.num_draft_output_tokens) == (6, None)
    started = event(EventKind.DRAFT_STARTED)
    assert Ledger.from_events([started]).num_draft_output_tokens is None
    assert Ledger.from_events([]).num_draft_output_tokens == 0
    assert Ledger.from_events([started]).drafting_s is None  # its end is not on record
    assert Ledger.from_events([started, event(EventKind.DRAFT_ENDED, is_cut_off=False)]).drafting_s == 0.0


def event(kind, **data):
    return Event(kind=kind, time_s=0.0, trajectory_id="t", turn=0, data=data)


def launched():
    return event(EventKind.EXECUTION_LAUNCHED)


def ended(fate):
    return event(EventKind.EXECUTION_ENDED, fate=fate, duration_s=1.0)


def uses(num):
    return [launched(), ended(Fate.USED)] * num


def settled(outcome, is_executed=False, confirmed_s=0.0, duration_s=1.0):
    data = {"outcome": outcome, "is_predicted": False, "is_eligible": True, "is_executed": is_executed}
    return event(EventKind.CALL_SETTLED, **data, confirmed_s=confirmed_s, duration_s=duration_s)


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([launched()], "1 executions launched, 0 ended"),
        ([ended(Fate.WASTED)], "0 executions launched, 1 ended"),
        ([launched(), ended(Fate.WASTED), ended(Fate.CANCELLED)], "1 executions launched, 2 ended"),
        ([launched(), ended("vanished")], "1 executions launched, 0 ended"),
        ([settled("vanished")], "1 calls confirmed, 0 settled"),
        ([launched(), ended(Fate.USED)], "0 hits, 1 executions used"),
        ([settled(Outcome.READY_HIT)], "1 hits, 0 executions used"),
        ([launched(), ended(Fate.WASTED), settled(Outcome.PENDING_HIT)], "1 hits, 0 executions used"),
        ([settled(Outcome.READY_HIT, is_executed=True), settled(Outcome.READY_HIT)], "2 hits, 0 executions used"),
    ],
)
def test_events_that_contradict_each_other_raise(events, message):
    with pytest.raises(AssertionError, match=message):
        Ledger.from_events(events)


def test_a_call_that_the_engine_executed_may_have_hit_what_an_earlier_turn_wrote_off():
    hit = settled(Outcome.READY_HIT, is_executed=True)
    of_an_earlier_turn = Ledger.from_events([launched(), ended(Fate.WASTED), hit])
    assert (of_an_earlier_turn.num_ready_hits, of_an_earlier_turn.num_used) == (1, 0)
    assert of_an_earlier_turn.num_executed == 1
    assert Ledger.from_events([launched(), ended(Fate.USED), hit]).num_used == 1


def test_the_trajectories_of_a_ledger_add_up():
    events = [launched(), ended(Fate.USED), settled(Outcome.READY_HIT), settled(Outcome.MISS)]
    one, two = Ledger.from_events(events), Ledger.from_events(events + events)
    assert (two.num_launched, two.num_confirmed) == (2 * one.num_launched, 2 * one.num_confirmed)
    assert two.call_acceptance_rate == one.call_acceptance_rate == 0.0
