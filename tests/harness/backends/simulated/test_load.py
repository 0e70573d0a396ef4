"""The simulator against the cost model where agents share machines: batches that fill up, and a queue for the draft.

Both equations take means for what a simulated engine does step by step, so they hold within a tolerance, which stands
with each test; what they assume (independent agents, exponential times in the queue) is drawn that way.
"""

import random
from dataclasses import replace
from statistics import fmean

import pytest

from harness.backends.simulated.quick import run_quick
from harness.backends.simulated.rates import EngineLimits, EngineModel, StepRates
from harness.backends.simulated.setting import Method, Setting
from harness.backends.simulated.work import TaskWork, TurnWork
from precall.cost_model.capacity import loaded_G_s, queued_g_s

STEP_S, SEQUENCE_S, NUM_TOKENS, NUM_CALLS = 0.01, 0.001, 100, 40
CALL = TurnWork(
    num_reasoning_tokens=NUM_TOKENS - 1,
    num_call_tokens=1,
    num_result_tokens=1,
    num_draft_tokens=1,
    hit_draw=1.0,
    latency_draw=0.0,
)
ANSWER = replace(CALL, num_reasoning_tokens=2, num_call_tokens=0)


def agent(
    rng: random.Random, index: int, *, g_steps: float | None = None, num_calls: int = NUM_CALLS
) -> list[TaskWork]:
    """Return one task of `num_calls` calls. What their tools take beyond the least is exponentially distributed; so are
    the draft's tokens where `g_steps` is their mean."""
    calls = [
        replace(
            CALL,
            latency_draw=rng.expovariate(1.0) - 1.0,
            num_draft_tokens=1 if g_steps is None else max(1, round(rng.expovariate(1.0) * g_steps)),
            hit_draw=rng.random(),
        )
        for _ in range(num_calls)
    ]
    return [TaskWork(task_id=f"agent {index}", num_prompt_tokens=1, turns=(*calls, ANSWER))]


@pytest.mark.parametrize("num_agents", [1, 8, 32])
@pytest.mark.parametrize(("T", "alpha"), [(0.5, 0.0), (2.0, 0.0), (1.0, 0.8), (3.0, 0.5)])
def test_the_time_of_agents_that_share_batches_is_predicted_to_4_percent(num_agents, T, alpha):
    rng = random.Random(0)
    work = [agent(rng, index) for index in range(num_agents)]
    target = EngineModel(rates=StepRates(step_s=STEP_S, sequence_s=SEQUENCE_S))
    instant = EngineModel(rates=StepRates(step_s=1e-6))
    method = Method.client if alpha else Method.standard
    setting = Setting(method=method, latency_mean_s=T, latency_std_s=T, hit_rate=alpha)
    measured_s = sum(run_quick(work, setting, target, [instant]).agent_s) / num_agents
    calls = [turn for tasks in work for turn in tasks[0].turns[:-1]]

    def cycle_s(G: float) -> float:
        hidden = [turn.hit_draw < alpha for turn in calls]
        tool_s = [setting.latency_s(turn) for turn in calls]
        return fmean(max(G, T) if is_hit else G + T for T, is_hit in zip(tool_s, hidden, strict=True))

    loaded_s = loaded_G_s(
        G=NUM_TOKENS * (STEP_S + SEQUENCE_S),
        per_agent_s=NUM_TOKENS * SEQUENCE_S,
        num_agents=num_agents,
        cycle_s=cycle_s,
    )
    assert measured_s == pytest.approx(NUM_CALLS * cycle_s(loaded_s), rel=0.04)


@pytest.mark.parametrize("num_agents", [1, 4, 12])
def test_the_wait_for_a_draft_that_serves_one_turn_at_a_time_is_predicted_to_10_percent(num_agents):
    # Every call is a hit and every tool outlasts its generation of 60 s, so a turn takes as long as draft and tool.
    g, spread_s, rng = 4.0, 4.0, random.Random(0)
    work = [agent(rng, index, g_steps=100.0 * g, num_calls=200) for index in range(num_agents)]
    setting = Setting(method=Method.client, latency_mean_s=60.0 + spread_s, latency_std_s=spread_s, hit_rate=1.0)
    target = EngineModel(rates=StepRates(step_s=60.0 / NUM_TOKENS))
    draft = EngineModel(rates=StepRates(step_s=0.01), limits=EngineLimits(max_num_seqs=1))
    measured_s = sum(run_quick(work, setting, target, [draft]).agent_s)
    calls = [turn for tasks in work for turn in tasks[0].turns[:-1]]
    tool_s = sum(setting.latency_s(turn) for turn in calls)
    answers_s = num_agents * 2 * 60.0 / NUM_TOKENS
    waited_s = (measured_s - tool_s - answers_s) / len(calls)
    predicted_s = queued_g_s(g=g, between_s=tool_s / len(calls), num_agents=num_agents, num_servers=1)
    assert waited_s == pytest.approx(predicted_s, rel=0.1)
