"""The simulator against the cost model, where the model is exact: one agent, no contention, whole turns alike."""

import pytest

from harness.backends.simulated.quick import QuickRun, run_quick
from harness.backends.simulated.rates import EngineLimits, EngineModel, StepRates
from harness.backends.simulated.setting import Method, Setting
from harness.backends.simulated.work import TaskWork, TurnWork
from precall.cost_model.client import client_saved_share, client_speedup
from precall.cost_model.engine import (
    EngineRates,
    EngineTurn,
    EngineWork,
    engine_side_time_s,
    engine_time_s,
    resident_turn_time_s,
)

DELTA, PHI, OVERHEAD = 0.02, 0.001, 0.05
DRAFT_DELTA, DRAFT_O = 0.01, 0.03
R, t, t_o, DRAFTED, ANSWER, PROMPT = 100, 30, 40, 35, 70, 500


def task(hits: list[bool]) -> TaskWork:
    """Return a task with a call for each of `hits`, and an answer."""
    calls = [
        TurnWork(
            num_reasoning_tokens=R,
            num_call_tokens=t,
            num_result_tokens=t_o,
            num_draft_tokens=DRAFTED,
            hit_draw=0.0 if is_hit else 1.0,
            latency_draw=0.0,
        )
        for is_hit in hits
    ]
    answer = TurnWork(
        num_reasoning_tokens=ANSWER,
        num_call_tokens=0,
        num_result_tokens=0,
        num_draft_tokens=DRAFTED,
        hit_draw=1.0,
        latency_draw=0.0,
    )
    return TaskWork(task_id="a", num_prompt_tokens=PROMPT, turns=(*calls, answer))


def run(method: Method, T: float, hits: list[bool], phi: float = 0.0, is_prefix_caching: bool = False) -> QuickRun:
    # Blocks of one token: the prefix cache then has exactly what was computed.
    limits = EngineLimits(block_size=1, is_prefix_caching=is_prefix_caching)
    target = EngineModel(rates=StepRates(step_s=DELTA, prefill_token_s=phi), limits=limits, overhead_s=OVERHEAD)
    draft = EngineModel(rates=StepRates(step_s=DRAFT_DELTA), limits=limits, overhead_s=DRAFT_O)
    setting = Setting(method=method, latency_mean_s=T, latency_std_s=0.0, hit_rate=0.5, max_wait_s=100.0)
    return run_quick([[task(hits)]], setting, target, [draft])


G = 2 * OVERHEAD + DELTA * (R + t)
G_f = 2 * OVERHEAD + DELTA * ANSWER
g = 2 * DRAFT_O + DRAFT_DELTA * DRAFTED


@pytest.mark.parametrize("T", [0.0, 0.3, G - g, 2.5, 9.0])
@pytest.mark.parametrize("hits", [[True], [False], [True, False, True, True], [True] * 6])
def test_one_agent_is_as_fast_as_the_clients_equation_says(T, hits):
    standard_s, client_s = (run(method, T, hits).wall_s for method in (Method.standard, Method.client))
    assert standard_s == pytest.approx(len(hits) * (G + T) + G_f)
    alpha = sum(hits) / len(hits)
    assert (standard_s - G_f) / (client_s - G_f) == pytest.approx(client_speedup(G=G, g=g, T=T, alpha=alpha))
    saved = client_saved_share(G=G, g=g, T=T, alpha=alpha, G_f=G_f / len(hits))
    assert 1 - client_s / standard_s == pytest.approx(saved)


def engine_work(num_calls: int, T: float, num_verified: int = 0) -> EngineWork:
    """Return the work of a task as eq:spec-engine counts it. The history holds whole turns, so a prompt grows by
    R + t + t_o; the cache has all of that but t_o and the last token, which was never computed."""
    contexts = [PROMPT + turn * (R + t + t_o) for turn in range(num_calls + 1)]
    return EngineWork(
        num_requests=num_calls + 1,
        num_calls=num_calls,
        context_tokens=sum(contexts),
        fresh_context_tokens=PROMPT + num_calls * (t_o + 1) + num_verified,
        decoded_tokens=num_calls * (R + t) + ANSWER,
        call_tokens=num_calls * t,
        tool_s=num_calls * T,
    )


@pytest.mark.parametrize("is_prefix_caching", [False, True])
def test_one_agent_takes_as_long_as_the_engines_equation_says(is_prefix_caching):
    found = run(Method.standard, 0.7, [False] * 4, PHI, is_prefix_caching)
    expected = engine_time_s(
        engine_work(4, 0.7),
        EngineRates(phi=PHI, delta=DELTA, o=OVERHEAD),
        is_prefix_caching=is_prefix_caching,
        overlap=0.0,
        drafted=0.0,
        resident=0.0,
    )
    assert found.wall_s == pytest.approx(expected)


def test_an_agent_whose_results_are_all_in_time_takes_as_long_as_the_engines_equation_says():
    found = run(Method.engine, 0.5, [True] * 4, PHI, True)
    assert found.num_executed == 4
    expected = engine_time_s(
        # Ours: the tokens of a drafted call are computed at once, as a prompt's are, and cost phi each.
        engine_work(4, 0.5, num_verified=4 * t),
        EngineRates(phi=PHI, delta=DELTA, o=OVERHEAD),
        is_prefix_caching=True,
        overlap=1.0,
        drafted=1.0,
        resident=1.0,
    )
    assert found.wall_s == pytest.approx(expected)


@pytest.mark.parametrize("T", [0.5, 2.0, 2.3, 5.0])
def test_a_resident_turn_takes_as_long_as_the_equation_with_a_maximum_says(T):
    found = run(Method.engine, T, [True] * 3)
    turn_s = resident_turn_time_s(R_s=DELTA * R, t_s=DELTA * t, drafted_s=DELTA, g=g, T=T, post_s=OVERHEAD)
    # The first turn's draft is asked as the request leaves; each later one hears of its turn a message later.
    first_s = OVERHEAD + resident_turn_time_s(
        R_s=DELTA * R, t_s=DELTA * t, drafted_s=DELTA, g=g - OVERHEAD, T=T, post_s=OVERHEAD
    )
    later_s = resident_turn_time_s(R_s=DELTA * R, t_s=DELTA * t, drafted_s=DELTA, g=g + OVERHEAD, T=T, post_s=OVERHEAD)
    assert turn_s <= later_s
    assert found.num_executed == 3
    assert found.wall_s == pytest.approx(first_s + 2 * later_s + DELTA * ANSWER + OVERHEAD)


@pytest.mark.parametrize("hits", [[False] * 3, [True] * 3, [True, False, True, True, False], [False, True]])
@pytest.mark.parametrize("T", [0.5, 2.3, 5.0])
@pytest.mark.parametrize("phi", [0.0, PHI])
def test_hits_and_misses_of_the_engine_side_take_as_long_as_the_equation_with_g_says(hits, T, phi):
    found = run(Method.engine, T, hits, phi, is_prefix_caching=True)
    # A request's prompt is cached but for the result of the turn before and the last token of its call.
    turns = [
        EngineTurn(X=t_o + 1 if index else PROMPT, t_o=t_o, R=R, t=t, T=T, is_hit=is_hit)
        for index, is_hit in enumerate(hits)
    ]
    turns.append(EngineTurn(X=t_o + 1, t_o=t_o, R=ANSWER))
    expected_s = engine_side_time_s(turns, EngineRates(phi=phi, delta=DELTA, o=OVERHEAD), g=g)
    assert found.wall_s == pytest.approx(expected_s)
