"""The engine side's equations by hand and against the paper's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precall.cost_model.engine import (
    EngineRates,
    EngineTurn,
    EngineWork,
    engine_side_time_s,
    engine_time_s,
    resident_turn_time_s,
)

SHARE = st.floats(0.0, 1.0)
TOKENS = st.integers(1, 200)
TURNS = st.lists(
    st.builds(EngineTurn, X=TOKENS, t_o=TOKENS, R=TOKENS, t=TOKENS, T=st.floats(0.0, 10.0), is_hit=st.booleans()),
    min_size=1,
    max_size=6,
)
RATES = EngineRates(phi=0.001, delta=0.02, o=0.05)
FREE_PREFILL = EngineRates(phi=0.0, delta=0.02, o=0.05)


def without_hits(turns):
    return [EngineTurn(X=turn.X, t_o=turn.t_o, R=turn.R, t=turn.t, T=turn.T) for turn in turns]


@given(TURNS, st.floats(0.0, 100.0))
def test_without_a_hit_or_with_a_draft_that_is_never_done_a_trajectory_is_a_row_of_requests(turns, g):
    expected_s = sum(2 * RATES.o + RATES.phi * u.X + RATES.delta * (u.R + u.t) + u.T for u in turns)
    assert engine_side_time_s(without_hits(turns), RATES, g=g) == pytest.approx(expected_s)
    assert engine_side_time_s(turns, RATES, g=1e9) == pytest.approx(expected_s)


@given(TURNS, st.floats(0.0, 10.0))
def test_where_tokens_cost_no_prefill_speculation_takes_no_longer_than_none_but_for_the_engines_last_message(turns, g):
    # A trajectory whose last call the engine executed ends at the engine, one message before its client hears of it.
    base_s = engine_side_time_s(without_hits(turns), FREE_PREFILL, g=g)
    assert engine_side_time_s(turns, FREE_PREFILL, g=g) <= base_s + FREE_PREFILL.o + 1e-9


@given(st.integers(1, 6), st.floats(0.0, 1.0), st.floats(0.0, 0.5))
def test_with_everything_in_time_it_is_the_papers_equation_with_one_request(K, g, T):
    """eq:spec-engine at alpha = 1 for K - 1 calls; the answer is a turn that nothing shortens, and its request's o is
    paid twice."""
    R, t = 200, 30
    turns = [EngineTurn(X=500, t_o=20, R=R, t=t, T=T, is_hit=True)] * (K - 1) + [EngineTurn(X=500, t_o=20, R=R)]
    expected_s = 2 * FREE_PREFILL.o + FREE_PREFILL.delta * (K * R + K - 1)
    assert engine_side_time_s(turns, FREE_PREFILL, g=g) == pytest.approx(expected_s)


def test_the_time_of_hits_and_misses_on_the_engine_side_by_hand():
    rates = EngineRates(phi=0.01, delta=0.1, o=0.5)
    turns = [
        EngineTurn(X=100, t_o=0, R=40, t=10, T=1.0, is_hit=True),  # .5 + 1 + 4 + (.1 + .1) of a verified call: 5.7
        EngineTurn(X=20, t_o=19, R=40, t=10, T=9.0, is_hit=True),  # known to the engine at .5 + 1 + .5, waits to 11
        EngineTurn(X=20, t_o=19, R=10, t=10, T=2.0),  # resident, a miss: .2 + 2, .5 back, 2 for the tool: 4.7
        EngineTurn(X=20, t_o=19, R=10),  # a request: .5 + .2 + 1 + .5: 2.2
    ]
    assert engine_side_time_s(turns, rates, g=1.0) == pytest.approx(5.7 + 11.0 + 4.7 + 2.2)
    # Asked at 0, known to the engine at 6.5, after the turn's end at 6.5 - .5: a hit of the client side, from 6 to 9.
    late = [EngineTurn(X=0, t_o=0, R=40, t=15, T=3.0, is_hit=True)]
    assert engine_side_time_s(late, rates, g=6.0) == pytest.approx(9.0)


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
