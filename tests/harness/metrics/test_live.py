"""A comparison of live models, against timelines that were worked out by hand."""

import pytest

from harness.metrics.live import Divergence, divergence, prediction, turns_of
from precall.cost_model.turns import TurnTimes
from precall.events import EventKind
from tests.harness.metrics.timelines import ended, event, generated, settled, started


def predicted(time_s, run, turn=0):
    return event(EventKind.CALL_PREDICTED, time_s, run=run, turn=turn, name="f", arguments="{}", sample=0)


def trajectory(run, *, G=2.0, T=1.0, g=None, outcome="miss"):
    """One turn with a call that takes T, and an answer that takes 1 s; predicted after g unless that is None."""
    after = max(G, g + T) if outcome != "miss" and g is not None else G + T
    return [
        started(0.0, run=run),
        event(EventKind.TURN_STARTED, 0.0, run=run, turn=0),
        *([predicted(g, run)] if g is not None else []),
        generated(0.0, G, run=run),
        settled(after, run=run, duration_s=T, outcome=outcome),
        event(EventKind.TURN_STARTED, after, run=run, turn=1),
        generated(after, after + 1.0, run=run, turn=1, num_calls=0),
        ended(after + 1.0, run=run),
    ]


def runs(**spec):
    base = {f"base-{i}": trajectory(f"base-{i}") for i in (1, 2)}
    return base | {f"spec-{i}": trajectory(f"spec-{i}", **spec) for i in (1, 2)}


def test_a_turn_is_read_from_what_happened():
    events = trajectory("spec-1", g=0.5, outcome="ready_hit")
    assert turns_of(events, {("a", 0): 2.0, ("a", 1): 1.0}) == {
        "a": [TurnTimes(G=2.0, g=0.5, tool_s=(1.0,), is_hit=(True,)), TurnTimes(G=1.0, g=0.0)]
    }


def test_a_hit_that_an_earlier_turn_predicted_waits_for_no_draft():
    events = [event(EventKind.TURN_STARTED, 5.0, turn=3), generated(5.0, 7.0, turn=3)]
    events.append(settled(7.0, turn=3, outcome="ready_hit"))
    assert turns_of(events, {("a", 3): 2.0})["a"] == [TurnTimes(G=2.0, g=0.0, tool_s=(1.0,), is_hit=(True,))]


def test_the_prediction_of_a_hit_is_the_cost_models():
    # Without speculation 2 + 1 + 1 = 4 s, with it max(2, 0.5 + 1) + 1 = 3 s.
    found = prediction(runs(g=0.5, outcome="ready_hit"), [["a"]])
    assert found.predicted_time_saved_pct == pytest.approx(25.0)


def test_a_miss_saves_nothing():
    assert prediction(runs(g=0.5), [["a"]]).predicted_time_saved_pct == 0.0


def test_a_slower_generation_beside_speculation_shows_in_the_loaded_prediction_alone():
    found = prediction(runs(g=0.5, G=3.0, outcome="ready_hit"), [["a"]])
    assert found.predicted_time_saved_pct == pytest.approx(25.0)
    # G is 2 s in the baseline and 3 s beside speculation: 100 (4 - 4) / 4.
    assert found.predicted_loaded_time_saved_pct == pytest.approx(0.0)


def test_trajectories_that_went_apart_are_counted_by_arm():
    found = runs()
    assert divergence(found) == Divergence(num_diverged=0, num_diverged_base=0)
    other = [generated(0.0, 1.0, run="spec-2", output_hash="other")]
    assert divergence(found | {"spec-2": other}) == Divergence(num_diverged=1, num_diverged_base=0)
    assert divergence(found | {"base-2": other}) == Divergence(num_diverged=0, num_diverged_base=1)


def test_another_prompt_alone_is_no_divergence():
    found = runs()
    found["spec-1"] = [
        generated(each.data["sent_s"], each.time_s, run="spec-1", turn=each.turn or 0, prompt_hash="rendered anew")
        if each.kind is EventKind.GENERATION_FINISHED
        else each
        for each in found["spec-1"]
    ]
    assert divergence(found).num_diverged == 0
