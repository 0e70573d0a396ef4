"""Load, samples and queues against limits, other ways to compute them, and the paper's figure 5."""

import csv
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precall.cost_model.capacity import loaded_G_s, queued_g_s, sampled_alpha, sampled_g_s
from precall.cost_model.turns import expected_turn_time_s

POSITIVE = st.floats(0.01, 100.0)
SHARE = st.floats(0.0, 1.0)
COUNT = st.integers(1, 40)
FIGURE_5 = Path(__file__).parents[3] / "results" / "paper" / "fig5_hit_rate.csv"


@given(SHARE, st.integers(1, 12))
def test_independent_samples_miss_together_and_equal_ones_add_nothing(alpha, num_samples):
    independent = sampled_alpha(alpha=alpha, rho=0.0, num_samples=num_samples)
    assert independent == pytest.approx(1 - (1 - alpha) ** num_samples)
    assert sampled_alpha(alpha=alpha, rho=1.0, num_samples=num_samples) == alpha


@given(SHARE, SHARE, SHARE, st.integers(1, 12))
def test_samples_that_are_more_alike_have_fewer_calls_and_more_of_them_never_have_less(alpha, one, other, num_samples):
    low, high = sorted((one, other))
    alike, apart = (sampled_alpha(alpha=alpha, rho=rho, num_samples=num_samples) for rho in (high, low))
    assert alpha - 1e-9 <= alike <= apart + 1e-9 <= 1 + 2e-9
    assert sampled_alpha(alpha=alpha, rho=low, num_samples=num_samples + 1) >= apart - 1e-9


def test_samples_agree_with_drawing_each_calls_likelihood_from_a_beta_distribution():
    alpha, rho, num_samples, num_calls, rng = 0.4, 0.3, 5, 40_000, random.Random(0)
    a, b = alpha * (1 / rho - 1), (1 - alpha) * (1 / rho - 1)
    likelihoods = [rng.betavariate(a, b) for _ in range(num_calls)]
    hits = sum(any(rng.random() < likelihood for _ in range(num_samples)) for likelihood in likelihoods)
    found = sampled_alpha(alpha=alpha, rho=rho, num_samples=num_samples)
    assert found == pytest.approx(hits / num_calls, abs=0.01)  # four standard errors


@pytest.mark.parametrize(("draft", "rho"), [("xLAM-2-1B", 0.075), ("xLAM-2-3B", 0.56)])
def test_one_rho_for_each_draft_gives_the_hit_rates_of_the_papers_figure_5(draft, rho):
    with FIGURE_5.open() as file:
        rows = [row for row in csv.DictReader(line for line in file if line[0] != "#") if row["draft_model"] == draft]
    rates = {int(row["num_samples"]): float(row["hit_rate"]) for row in rows}
    for num_samples, rate in rates.items():
        found = sampled_alpha(alpha=rates[1], rho=rho, num_samples=num_samples)
        assert found == pytest.approx(rate, abs=0.02), num_samples


def test_each_further_sample_takes_its_share_of_the_batch():
    assert sampled_g_s(g=0.3, per_sample_s=0.05, num_samples=1) == 0.3
    assert sampled_g_s(g=0.3, per_sample_s=0.05, num_samples=5) == pytest.approx(0.5)


@given(POSITIVE, POSITIVE, POSITIVE, SHARE, SHARE, COUNT)
def test_G_under_load_solves_its_equation_and_speculation_fills_the_batch(G, per_agent_s, T, share, alpha, num_agents):
    def loaded_s(alpha: float, num_agents: int) -> float:
        def cycle_s(loaded_s: float) -> float:
            return expected_turn_time_s(G=loaded_s, g=share * G, tool_s=(T,), alpha=(alpha,))

        return loaded_G_s(G=G, per_agent_s=per_agent_s, num_agents=num_agents, cycle_s=cycle_s)

    base_s = loaded_s(0.0, num_agents)
    assert base_s == pytest.approx(G + per_agent_s * (num_agents - 1) * base_s / (base_s + T), rel=1e-6)
    assert G * (1 - 1e-9) <= base_s <= loaded_s(alpha, num_agents) * (1 + 1e-9)
    assert loaded_s(alpha, 1) == pytest.approx(G)


@given(POSITIVE, POSITIVE, COUNT, st.integers(1, 8))
def test_an_agent_alone_never_queues_and_nobody_waits_longer_than_for_all_others(g, between_s, num_agents, num_servers):
    def queued_s(num_agents: int) -> float:
        return queued_g_s(g=g, between_s=between_s, num_agents=num_agents, num_servers=num_servers)

    assert queued_s(1) == pytest.approx(g)
    assert queued_s(num_servers) == pytest.approx(g)
    assert g * (1 - 1e-9) <= queued_s(num_agents) <= g * max(1.0, num_agents / num_servers) * (1 + 1e-9)
    assert queued_s(num_agents) <= queued_s(num_agents + 1) * (1 + 1e-9)


@given(POSITIVE, st.floats(0.0, 0.01), st.integers(8, 40), st.integers(1, 8))
def test_servers_that_are_always_busy_give_each_agent_its_share_of_their_answers(g, share, num_agents, num_servers):
    found = queued_g_s(g=g, between_s=share * g, num_agents=num_agents, num_servers=num_servers)
    assert found == pytest.approx(num_agents * g / num_servers, rel=0.02)


def test_the_wait_of_two_agents_for_one_server_by_hand():
    # 0, 1, 2 at the draft with weights 1, 1/2, 1/8: together 3/4 of an agent there and 5/2 away, per 4 s away
    assert queued_g_s(g=1.0, between_s=4.0, num_agents=2, num_servers=1) == pytest.approx(0.75 / 2.5 * 4.0)
