"""The oracle: right in the share that it is given, plausibly wrong in the rest, the same every time."""

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precall.calls import ToolCall, canonical_key
from precall.drafts.oracle import OracleDraft
from precall.errors import ConfigError
from precall.events import now_s
from precall.testing.scripted import ScriptedTarget
from precall.testing.virtual_time import run_virtual
from precall.tools import Effect
from tests.precall.worlds import Run, World, call, generation, run_trajectory

TURNS = [[call("f", x=number, y="a")] for number in range(400)]


def history(turn):
    return [{"role": "user", "content": "go"}] + [{"role": "assistant", "content": ""}] * turn


def says(draft, turn):
    async def main():
        return [(now_s(), prediction.calls) async for prediction in draft.predict(history(turn), ())]

    return run_virtual(main())


def right(alpha, seed=1):
    draft = OracleDraft(TURNS, alpha=alpha, seed=seed)

    async def main():
        return {turn for turn in range(400) if (await anext(draft.predict(history(turn), ()))).calls == (*TURNS[turn],)}

    return run_virtual(main())


def test_it_is_right_in_the_given_share_of_calls_and_in_the_same_ones_every_time():
    assert len(right(0.0)) == 0
    assert len(right(1.0)) == 400
    assert abs(len(right(0.6)) - 240) < 30  # three standard deviations
    assert right(0.6) == right(0.6) != right(0.6, seed=2)


def test_what_is_right_stays_right_under_a_larger_share():
    assert right(0.3) < right(0.7)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
)


@given(st.dictionaries(st.text(), JSON, min_size=1, max_size=3), st.integers())
def test_a_wrong_call_is_of_the_same_tool_with_the_same_arguments_but_one(arguments, seed):
    told = ToolCall(name="f", arguments=json.dumps(arguments))
    ((_, (said,)),) = says(OracleDraft([[told]], alpha=0.0, seed=seed), 0)
    assert said.name == "f"
    assert canonical_key(said) != canonical_key(told)
    wrong = json.loads(said.arguments)
    assert wrong.keys() == arguments.keys()
    assert sum(json.dumps(wrong[name]) != json.dumps(arguments[name]) for name in arguments) == 1


def test_a_call_that_cannot_be_made_wrong_is_left_out():
    told = [call("f"), ToolCall(name="g", arguments="{"), call("h", x=1)]
    assert says(OracleDraft([told], alpha=0.0, seed=0), 0) == [(0.0, (call("h", x=2),))]


def test_behind_what_it_was_told_it_expects_no_call_and_it_answers_after_its_delay():
    draft = OracleDraft([[call("f")]], alpha=1.0, seed=0, delay_s=1.5)
    assert says(draft, 0) == [(1.5, (call("f"),))]
    assert says(draft, 1) == [(1.5, ())]


def test_its_share_is_the_call_acceptance_rate_of_the_ledger():
    async def main():
        run, world = Run(), World()
        tools = [world.tool("f", Effect.PURE, 2.0)]
        target = ScriptedTarget([[generation(4.0, *calls)] for calls in TURNS[:50]])
        await run_trajectory(run, target, tools, 50, OracleDraft(TURNS, alpha=0.6, seed=1, delay_s=1.0))
        return run

    run = run_virtual(main())
    share = Fraction(len([turn for turn in right(0.6) if turn < 50]), 50)
    assert run.ledger.call_acceptance_rate == float(share)
    assert run.finished_s == 50 * 4.0 + (50 - 50 * share) * 2.0


@pytest.mark.parametrize("settings", [{"alpha": 1.5}, {"alpha": -0.1}, {"alpha": 0.5, "delay_s": -1.0}])
def test_settings_outside_their_rules_are_refused_and_named(settings):
    with pytest.raises(ConfigError, match=f"{list(settings)[-1]} of the oracle is"):
        OracleDraft([], seed=0, **settings)
