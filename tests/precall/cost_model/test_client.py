"""The client side's equations against values by hand, their limits, and a search for their optimum."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from precall.cost_model.client import (
    best_speedup,
    best_tool_s,
    client_saved_share,
    client_speedup,
    client_time_s,
    largest_speedup,
    saved_share_bound,
    speedup_bound,
    speedup_bound_by_acceptance,
    standard_time_s,
)

POSITIVE = st.floats(0.01, 100.0)
SHARE = st.floats(0.0, 1.0)


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


@given(POSITIVE, POSITIVE, POSITIVE, SHARE, st.integers(1, 20), st.floats(0.0, 100.0))
def test_the_times_of_a_trajectory_are_those_of_its_turns_and_its_answer(G, g, T, alpha, N, G_f):
    assert standard_time_s(N=N, G=G, T=T, G_f=G_f) == pytest.approx(N * (G + T) + G_f)
    found = client_time_s(N=N, G=G, g=g, T=T, alpha=alpha, G_f=G_f)
    assert found == pytest.approx(alpha * N * max(G, g + T) + (1 - alpha) * N * (G + T) + G_f)


@given(POSITIVE, POSITIVE, POSITIVE, SHARE, st.floats(0.0, 100.0))
def test_no_speedup_and_no_share_is_beyond_its_bound(G, g, T, alpha, G_f):
    tolerance = 1 + 1e-9
    speedup = client_speedup(G=G, g=g, T=T, alpha=alpha)
    assert speedup <= speedup_bound_by_acceptance(alpha=alpha) * tolerance
    assert client_saved_share(G=G, g=g, T=T, alpha=alpha, G_f=G_f) <= saved_share_bound(alpha=alpha) + 1e-9
    if g <= G:
        assert speedup <= largest_speedup(G=G, g=g, T=T) * tolerance
        assert largest_speedup(G=G, g=g, T=T) <= speedup_bound(G=G, g=g, T=T) * tolerance
        assert largest_speedup(G=G, g=g, T=T) <= best_speedup(G=G, g=g) * tolerance


@given(POSITIVE, POSITIVE, POSITIVE, SHARE, st.floats(0.0, 100.0))
def test_nothing_is_saved_without_hits_without_tool_time_or_by_a_draft_that_is_never_done(G, g, T, alpha, G_f):
    assert client_saved_share(G=G, g=g, T=T, alpha=0.0, G_f=G_f) == 0.0
    assert client_saved_share(G=G, g=g, T=0.0, alpha=alpha, G_f=G_f) == 0.0
    assert client_saved_share(G=G, g=1e12, T=T, alpha=alpha, G_f=G_f) == 0.0


@given(POSITIVE, POSITIVE, POSITIVE, POSITIVE, SHARE, st.floats(0.0, 100.0))
def test_a_faster_draft_never_saves_less(G, one, other, T, alpha, G_f):
    fast, slow = sorted((one, other))
    at = {"G": G, "T": T, "alpha": alpha, "G_f": G_f}
    assert client_saved_share(g=fast, **at) >= client_saved_share(g=slow, **at)


@pytest.mark.parametrize(("G", "g"), [(4.0, 1.0), (2.0, 0.1), (1.0, 0.9), (3.0, 0.0), (1.0, 2.0)])
@pytest.mark.parametrize("G_f", [0.0, 1.5])
def test_a_search_over_tool_times_finds_the_best_where_the_model_says(G, g, G_f):
    tool_s = np.linspace(0.0, 10.0 * G, 20_001)
    shares = [client_saved_share(G=G, g=g, T=T, alpha=1.0, G_f=G_f) for T in tool_s]
    assert tool_s[int(np.argmax(shares))] == pytest.approx(best_tool_s(G=G, g=g), abs=1e-3 * G)
    if g <= G:
        speedups = [client_speedup(G=G, g=g, T=T, alpha=1.0) for T in tool_s]
        assert max(speedups) == pytest.approx(best_speedup(G=G, g=g), rel=1e-3)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.8, 1.0])
def test_a_search_over_all_times_comes_up_to_the_bound_by_acceptance_and_no_further(alpha):
    grid = [(g, T) for g in np.linspace(0.0, 1.0, 101) for T in np.linspace(0.01, 4.0, 400)]
    largest = max(client_speedup(G=1.0, g=g, T=T, alpha=alpha) for g, T in grid)
    assert largest == pytest.approx(speedup_bound_by_acceptance(alpha=alpha), rel=1e-9)
