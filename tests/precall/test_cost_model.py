"""The cost model against values by hand, its bounds, and turns that run on virtual time."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from precall.cost_model import (
    EngineRates,
    EngineWork,
    TurnTimes,
    best_tool_s,
    client_saved_share,
    client_speedup,
    engine_time_s,
    resident_turn_time_s,
    turn_time_s,
)
from precall.testing.virtual_time import run_virtual
from precall.tools import Effect
from tests.precall.worlds import World, call, generation, run_script, sample

POSITIVE = st.floats(0.01, 100.0)
SHARE = st.floats(0.0, 1.0)
SECONDS = st.integers(1, 64).map(lambda eighths: eighths / 8)


@pytest.mark.parametrize(
    ("G", "g", "T", "alpha", "speedup"),
    [
        (4.0, 1.0, 2.0, 1.0, 6 / 4),  # the tool is hidden: max(4, 1 + 2) = 4
        (4.0, 1.0, 5.0, 1.0, 9 / 6),  # the tool outlasts the generation: max(4, 1 + 5) = 6
        (4.0, 1.0, 3.0, 1.0, 7 / 4),  # the optimum T = G - g: 2 - g/G
        (4.0, 1.0, 2.0, 0.5, 6 / 5),
        (4.0, 1.0, 2.0, 0.0, 1.0),
        (4.0, 4.0, 2.0, 1.0, 1.0),  # g = G
        (4.0, 5.0, 2.0, 1.0, 6 / 7),  # the paper's formula lets a slow draft cost time
        (4.0, 1.0, 0.0, 1.0, 1.0),  # nothing to hide
        (1.0, 0.0, 1.0, 1.0, 2.0),  # the supremum
    ],
)
def test_the_speedup_of_client_side_speculation_by_hand(G, g, T, alpha, speedup):
    assert client_speedup(G=G, g=g, T=T, alpha=alpha) == pytest.approx(speedup)


@given(POSITIVE, POSITIVE, POSITIVE, SHARE)
def test_the_speedup_is_within_the_bounds_of_the_paper_and_ours(G, g, T, alpha):
    speedup = client_speedup(G=G, g=g, T=T, alpha=alpha)
    tolerance = 1 + 1e-9
    assert speedup <= (G + T) / min(max(G, g + T), G + T) * tolerance
    assert speedup <= 2 / (2 - alpha) * tolerance
    if g <= G:
        assert speedup <= (2 - 2 * g / (G + g + T)) * tolerance
        assert speedup >= 1 / tolerance
        saved = alpha * min(T, G - g) / (G + T)  # ours: the share of time saved
        assert 1 - 1 / speedup == pytest.approx(saved, abs=1e-9)


@given(POSITIVE, POSITIVE, POSITIVE, SHARE, SHARE)
def test_the_speedup_grows_with_the_acceptance_rate_where_the_draft_is_faster(G, g, T, one, other):
    assume(g < G)
    low, high = (client_speedup(G=G, g=g, T=T, alpha=alpha) for alpha in sorted((one, other)))
    assert low <= high * (1 + 1e-12)


@given(POSITIVE, POSITIVE, POSITIVE, SHARE, st.floats(0.0, 100.0))
def test_the_saved_share_is_that_of_the_speedup_with_the_final_answer_on_both_sides(G, g, T, alpha, G_f):
    assume(g < G)
    standard_s = G + T + G_f
    speculative_s = alpha * max(G, g + T) + (1 - alpha) * (G + T) + G_f
    share = client_saved_share(G=G, g=g, T=T, alpha=alpha, G_f=G_f)
    assert share == pytest.approx(1 - speculative_s / standard_s, abs=1e-9)


@given(POSITIVE, POSITIVE, POSITIVE, st.floats(0.01, 1.0), st.floats(0.0, 100.0))
def test_no_tool_time_saves_a_larger_share_than_the_best(G, g, T, alpha, G_f):
    best_s = best_tool_s(G=G, g=g)
    at = {"G": G, "g": g, "alpha": alpha, "G_f": G_f}
    assert client_saved_share(T=T, **at) <= client_saved_share(T=best_s, **at) * (1 + 1e-9)
    assert best_s == max(0.0, G - g)


@pytest.mark.parametrize(
    ("g", "T", "seconds"),
    [
        (1.0, 2.0, 5.2),  # known at 1.5, drafted: 5 + .2; the result came at 3.5
        (1.0, 4.5, 6.0),  # drafted, and awaited: 1 + .5 + 4.5
        (5.0, 0.1, 7.0),  # known at 5.5, after the reasoning: the call is written out
        (5.0, 3.0, 8.5),
    ],
)
def test_the_time_of_a_resident_turn_by_hand(g, T, seconds):
    assert resident_turn_time_s(R_s=5.0, t_s=2.0, drafted_s=0.2, g=g, T=T, post_s=0.5) == seconds


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


@given(st.integers(1, 8), SHARE, st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_the_engines_time_is_the_papers_where_every_turn_is_a_call(K, alpha, phi, delta, o):
    X_1, R, t, t_o, T = 100.0, 50.0, 20.0, 30.0, 2.0
    X = [X_1 + i * (t + t_o) for i in range(K)]
    work = EngineWork(
        num_requests=K,
        num_calls=K,
        context_tokens=sum(X),
        fresh_context_tokens=X_1 + K * (t + t_o),
        decoded_tokens=K * (R + t),
        call_tokens=K * t,
        tool_s=K * T,
    )
    rates = EngineRates(phi=phi, delta=delta, o=o)
    none = {"overlap": 0.0, "drafted": 0.0, "resident": 0.0}
    vanilla = 2 * K * o + phi * sum(X) + delta * K * (R + t) + K * T
    cached = 2 * K * o + phi * (X_1 + K * (t + t_o)) + delta * K * (R + t) + K * T
    assert engine_time_s(work, rates, is_prefix_caching=False, **none) == pytest.approx(vanilla)
    assert engine_time_s(work, rates, is_prefix_caching=True, **none) == pytest.approx(cached)
    # eq:spec-engine; its delta term is alpha K + sum R + (1 - alpha) sum t
    speculative = (1 - alpha) * 2 * K * o + phi * (X_1 + K * (t + t_o)) + (1 - alpha) * K * T
    speculative += delta * (alpha * K + K * R + (1 - alpha) * K * t)
    found = engine_time_s(work, rates, is_prefix_caching=True, overlap=alpha, drafted=alpha, resident=alpha)
    assert found == pytest.approx(speculative)


def test_without_prefix_caching_only_kept_sequences_leave_context_uncomputed():
    work = EngineWork(
        num_requests=4,
        num_calls=2,
        context_tokens=400,
        fresh_context_tokens=160,
        decoded_tokens=100,
        call_tokens=40,
        tool_s=3,
    )
    rates = EngineRates(phi=1.0, delta=0.0, o=0.0)
    shares = {"overlap": 1.0, "drafted": 1.0}
    assert engine_time_s(work, rates, is_prefix_caching=False, resident=0.0, **shares) == 400
    assert engine_time_s(work, rates, is_prefix_caching=False, resident=1.0, **shares) == 0.5 * 400 + 0.5 * 160
    assert engine_time_s(work, rates, is_prefix_caching=True, resident=1.0, **shares) == 160
