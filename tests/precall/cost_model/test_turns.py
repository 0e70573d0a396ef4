"""Single turns by hand, by counting all outcomes, and on virtual time."""

from itertools import product
from math import prod

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from precall.cost_model.client import client_speedup
from precall.cost_model.turns import TurnTimes, expected_turn_time_s, turn_time_s
from precall.testing.virtual_time import run_virtual
from precall.tools import Effect
from tests.precall.worlds import World, call, generation, run_script, sample

POSITIVE = st.floats(0.01, 100.0)
SHARE = st.floats(0.0, 1.0)
SECONDS = st.integers(1, 64).map(lambda eighths: eighths / 8)


@given(POSITIVE, POSITIVE, st.lists(st.tuples(POSITIVE, SHARE), max_size=4))
def test_the_expected_time_of_a_turn_is_the_mean_over_all_ways_in_which_its_calls_may_be_hits(G, g, calls):
    tool_s, alpha = tuple(tool_s for tool_s, _ in calls), tuple(share for _, share in calls)
    mean_s = sum(
        prod(share if hit else 1 - share for share, hit in zip(alpha, is_hit, strict=True))
        * turn_time_s(TurnTimes(G=G, g=g, tool_s=tool_s, is_hit=is_hit), speculate=True)
        for is_hit in product((True, False), repeat=len(calls))
    )
    assert expected_turn_time_s(G=G, g=g, tool_s=tool_s, alpha=alpha) == pytest.approx(mean_s)


@given(POSITIVE, st.floats(0.0, 1.0), POSITIVE, st.integers(1, 20), st.data())
def test_turns_of_one_call_add_up_to_the_speedup(G, share, T, num_turns, data):
    g, num_hits = G * share, data.draw(st.integers(0, num_turns))
    turns = [TurnTimes(G=G, g=g, tool_s=(T,), is_hit=(index < num_hits,)) for index in range(num_turns)]
    base_s = sum(turn_time_s(turn, speculate=False) for turn in turns)
    spec_s = sum(turn_time_s(turn, speculate=True) for turn in turns)
    assert base_s == pytest.approx(num_turns * (G + T))
    assert base_s / spec_s == pytest.approx(client_speedup(G=G, g=g, T=T, alpha=num_hits / num_turns))


def test_the_time_of_a_turn_with_several_calls_by_hand():
    turn = TurnTimes(G=4.0, g=1.0, tool_s=(5.0, 2.0, 2.0), is_hit=(True, False, True))
    assert turn_time_s(turn, speculate=False) == 13.0
    assert turn_time_s(turn, speculate=True) == 8.0  # max(4, 1 + 5), + 2, max(8, 1 + 2)
    late = TurnTimes(G=4.0, g=5.0, tool_s=(5.0,), is_hit=(True,))
    assert turn_time_s(late, speculate=True) == 9.0  # a draft that comes too late is a miss
    assert turn_time_s(TurnTimes(G=4.0, g=1.0), speculate=True) == 4.0


@settings(max_examples=60, deadline=None)
@given(SECONDS, SECONDS, st.lists(st.tuples(SECONDS, st.booleans()), max_size=4))
def test_a_turn_on_virtual_time_takes_as_long_as_the_cost_model_says(G, g, calls):
    assume(g != G)  # a tie is anybody's
    world = World()
    tools = [world.tool(f"tool_{index}", Effect.PURE, tool_s) for index, (tool_s, _) in enumerate(calls)]
    confirmed = [call(tool.name) for tool in tools]
    predicted = [wanted for wanted, (_, is_hit) in zip(confirmed, calls, strict=True) if is_hit]
    turn = TurnTimes(G=G, g=g, tool_s=tuple(s for s, _ in calls), is_hit=tuple(is_hit for _, is_hit in calls))
    for speculate, samples in ((False, None), (True, [[sample(g, *predicted)]])):
        run = run_virtual(run_script([[generation(G, *confirmed)]], tools, samples))
        assert run.turn_ends_s == [turn_time_s(turn, speculate=speculate)]


@settings(max_examples=30, deadline=None)
@given(SECONDS, SECONDS, SECONDS, st.lists(st.booleans(), min_size=1, max_size=6))
def test_a_trajectory_on_virtual_time_is_as_fast_as_the_equation_says(G, g, T, is_hit):
    assume(g < G)
    tools = [World().tool("f", Effect.PURE, T)]
    responses = [[generation(G, call("f"))] for _ in is_hit]
    samples = [[sample(g, call("f"))] if hit else [] for hit in is_hit]
    base = run_virtual(run_script(responses, tools))
    run = run_virtual(run_script(responses, tools, samples))
    alpha = run.ledger.call_acceptance_rate
    assert alpha == sum(is_hit) / len(is_hit)
    assert base.finished_s / run.finished_s == pytest.approx(client_speedup(G=G, g=g, T=T, alpha=alpha))
