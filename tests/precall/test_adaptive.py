"""The adaptive switch: what it estimates from events, when it leaves the draft out, and how it comes back."""

import pytest

from precall.adaptive import PRIOR_WEIGHT, AdaptiveSwitch
from precall.errors import ConfigError
from precall.events import Event, EventKind, EventRecorder
from precall.policy import LaunchPolicy
from precall.speculation import ClientSpeculation
from precall.testing.scripted import ScriptedDraft, ScriptedTarget
from precall.testing.virtual_time import run_virtual
from precall.tools import Effect, run_tool
from precall.turn import TurnRunner
from tests.precall.worlds import Run, World, call, generation, sample


def turn(*, G=4.0, g=1.0, T=2.0, right=True, name="f", asked=True, called=True, wasted_s=0.0):
    """Return the events of a turn with one confirmed call; `right`: predicted at `g`, as was another if wrong."""

    def event(kind, time_s, **data):
        return Event(kind=kind, time_s=time_s, trajectory_id="t", turn=0, data=data)

    events = [event(EventKind.TURN_STARTED, 10.0)]
    if asked:
        predicted = "right" if right else "wrong"
        events.append(event(EventKind.DRAFT_STARTED, 10.0))
        events.append(event(EventKind.CALL_PREDICTED, 10.0 + g, name=name, arguments=predicted, sample=0))
        events.append(event(EventKind.DRAFT_ENDED, 10.0 + g, is_cut_off=False))
    events.append(event(EventKind.GENERATION_FINISHED, 10.0 + G, sent_s=10.0, finished_s=10.0 + G))
    if called:
        settled = {"is_predicted": asked and right, "is_eligible": True, "duration_s": T}
        events.append(event(EventKind.CALL_SETTLED, 20.0, name=name, arguments="right", **settled))
    if wasted_s:
        events.append(event(EventKind.EXECUTION_ENDED, 20.0, fate="wasted", duration_s=wasted_s))
    return events


def learned(*turns, **settings):
    switch = AdaptiveSwitch(**settings)
    for events in turns:
        switch.learn(events)
    return switch


def test_it_begins_on_and_stays_on_where_the_draft_is_right():
    assert AdaptiveSwitch().asks()
    switch = learned(*[turn()] * 30)
    # Nearly all right: of every turn min(T, G - g) = 2 s are saved, at a tenth of the draft's second.
    assert switch.saving_s == pytest.approx(2.0, rel=0.15)
    assert switch.cost_s == pytest.approx(0.1)
    assert all(switch.asks() for _ in range(100))


def test_estimates_are_running_means_that_begin_with_the_prior_and_forget():
    # After n right calls alpha is (2 + n) / (4 + n), until 20 observations; then it moves by a twentieth.
    switch = learned(*[turn()] * 6)
    assert switch.saving_s == pytest.approx((2 + 6) / (PRIOR_WEIGHT + 6) * 2.0)
    switch = learned(*[turn()] * 16)
    alpha = (2 + 16) / 20
    assert switch.saving_s == pytest.approx(alpha * 2.0)
    switch.learn(turn(right=False))
    assert switch.saving_s == pytest.approx(alpha * (1 - 1 / 20) * 2.0)


@pytest.mark.parametrize(
    "regime",
    [
        {"right": False},  # the draft is wrong
        {"T": 0.0},  # tools take no time
        {"g": 5.0},  # the draft is slower than the target
        {"called": False},  # there are no calls
        {"wasted_s": 30.0},  # far too many tools run for nothing
    ],
)
def test_it_leaves_the_draft_out_where_that_pays_and_asks_it_again_when_the_regime_ends(regime):
    switch = learned(*[turn(**regime)] * 60, seed=3)
    assert not switch.is_on
    asked = []
    for _ in range(400):
        asked.append(switch.asks())
        switch.learn(turn(**regime, asked=asked[-1]))
    assert 0.01 < sum(asked) / 400 < 0.12  # probes alone
    num_turns = 0
    while not switch.is_on:
        num_turns += 1
        switch.learn(turn(asked=switch.asks()))
    assert num_turns < 150


def test_a_tool_that_becomes_slow_switches_it_on_without_a_probe():
    switch = learned(*[turn(T=0.0)] * 40)
    assert not switch.is_on
    for _ in range(5):
        switch.learn(turn(T=2.0, asked=False))
    assert switch.is_on


def test_a_probe_that_would_have_paid_is_followed_by_another():
    switch = learned(*[turn(right=False)] * 60)
    switch.learn(turn(right=False))
    before = [switch.asks() for _ in range(200)]
    assert any(before) and not all(before)
    switch.learn(turn())
    assert not switch.is_on
    assert switch.asks()


def test_the_same_seed_and_events_give_the_same_decisions():
    def decisions(seed):
        switch = learned(*[turn(right=False)] * 60, seed=seed)
        return [switch.asks() for _ in range(300)]

    assert decisions(1) == decisions(1) != decisions(2)


def test_a_tool_whose_predictions_are_wrong_is_not_launched_while_another_is():
    good, bad = turn(name="good"), turn(name="bad", right=False)
    switch = learned(*[good, bad] * 30)
    assert switch.is_on
    assert (switch.allows("good"), switch.allows("bad"), switch.allows("never seen")) == (True, False, True)


def test_a_tool_that_is_predicted_and_never_asked_for_is_not_launched_either():
    switch = learned(*[[*turn(), *turn(name="ghost", called=False)[2:3]]] * 60)
    assert not switch.allows("ghost")
    assert switch.allows("f")


def test_a_new_tool_is_taken_to_be_as_well_predicted_as_the_others():
    wrong = [turn(name=f"tool {number}", right=False) for number in range(60)]
    right = [turn(name=f"tool {number}") for number in range(60)]
    assert not learned(*wrong).is_on
    assert learned(*right).is_on


def test_where_waste_costs_nothing_every_tool_is_launched():
    assert learned(*[turn(right=False)] * 60, tool_price=0.0).allows("f")


def test_a_turn_whose_target_failed_says_nothing():
    events = [event for event in turn() if event.kind is not EventKind.GENERATION_FINISHED]
    switch = learned(events)
    assert (switch.saving_s, switch.cost_s) == (0.0, 0.0)


def trajectory(switch, num_turns, guess, events):
    """Run turns that each ask for the call f(x=turn); `guess(turn)` is what the draft says."""

    async def main():
        run, recorder = Run(events=events), EventRecorder("t", events.append)
        world = World()
        tools = [world.tool("f", Effect.PURE, 2.0)]
        draft = ScriptedDraft(turns=[[sample(1.0, guess(index))] for index in range(num_turns)])
        speculation = ClientSpeculation(draft, LaunchPolicy(), run_tool, recorder, switch=switch)
        target = ScriptedTarget([[generation(4.0, call("f", x=index))] for index in range(num_turns)])
        runner = TurnRunner(target, speculation, tools, run_tool, recorder)
        for _ in range(num_turns):
            async for _ in runner.run_response(run.messages):
                pass
        await speculation.aclose()
        return run

    return run_virtual(main())


def test_a_trajectory_teaches_its_switch_and_records_what_was_left_out():
    switch, events = AdaptiveSwitch(), []
    run = trajectory(switch, 120, lambda index: call("f", x=-1), events)
    ledger = run.ledger
    assert not switch.is_on
    assert 0 < ledger.num_drafted_turns < 60
    assert ledger.num_drafted_turns + ledger.num_skipped_turns == 120
    assert set(run.data(EventKind.DRAFT_SKIPPED, "reason")) == {"expected saving below cost"}
    assert ledger.num_launched + ledger.num_refused == ledger.num_drafted_turns


def test_a_trajectory_with_a_right_draft_is_as_without_a_switch():
    with_switch = trajectory(AdaptiveSwitch(), 30, lambda index: call("f", x=index), [])
    without = trajectory(None, 30, lambda index: call("f", x=index), [])
    assert with_switch.ledger == without.ledger


@pytest.mark.parametrize(
    ("setting", "value"),
    [("draft_price", -1.0), ("tool_price", float("inf")), ("window", 3), ("probe_share", 0.0), ("probe_share", 1.1)],
)
def test_settings_outside_their_rules_are_refused_and_named(setting, value):
    with pytest.raises(ConfigError, match=f"{setting} is {value}"):
        AdaptiveSwitch(**{setting: value})
