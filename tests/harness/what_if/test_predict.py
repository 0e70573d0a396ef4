"""Predictions against the equations by hand, and what is said about them."""

import pytest

from harness.metrics.evidence import PlainTurn, TaskEvidence
from harness.what_if.candidates import Candidate, parse
from harness.what_if.evidence import Place, from_numbers
from harness.what_if.predict import predict
from harness.what_if.report import ceiling_pct, pick, why_not
from precall.cost_model.capacity import queued_g_s
from precall.cost_model.client import client_saved_share
from precall.errors import ConfigError


def place(*, G=2.0, T=1.5, answer=1.0, num_calls=4, num_agents=1, **more):
    numbers = {"prompt_tokens": None, "beside_s": None} | more
    return from_numbers(
        generation_s=G, tool_s=T, answer_s=answer, num_calls=num_calls, num_agents=num_agents, **numbers
    )


def of_tasks(*tasks, **more):
    return Place(tasks=tasks, fit=None, origin="measured", num_agents=1, **more)


def turn(G, *tool_s, is_eligible=True):
    return PlainTurn(generation_s=G, tool_s=tool_s, is_eligible=(is_eligible,) * len(tool_s))


DRAFT = Candidate(name="8B", g=0.3, alpha=0.6)


@pytest.mark.parametrize("T", [0.0, 0.5, 1.7, 4.0])
def test_of_numbers_the_time_saved_is_the_equations_with_the_final_answer(T):
    found = predict(place(T=T), DRAFT, 1)
    share = client_saved_share(G=2.0, g=0.3, T=T, alpha=0.6, G_f=1.0 / 4)
    assert found.time_saved_pct == pytest.approx(100 * share)
    assert (found.low_pct, found.high_pct, found.bound_pct) == (None, None, 30.0)
    assert found.time_saved_pct <= found.bound_pct


def test_several_tasks_give_an_interval_around_what_they_save_together():
    tasks = [TaskEvidence(turns=[turn(2.0, T), turn(1.0)]) for T in (0.2, 1.0, 3.0)]
    found = predict(of_tasks(*tasks), DRAFT, 1)
    # 0.6 of .2, 1 and 1.7 s out of 2 + T + 1 each
    assert found.time_saved_pct == pytest.approx(100 * 0.6 * 2.9 / 13.2)
    assert found.low_pct < found.time_saved_pct < found.high_pct


def test_the_draft_of_the_run_has_the_runs_g_and_alpha_and_widens_the_interval_by_what_they_vary():
    tasks = [
        TaskEvidence(turns=[turn(2.0, 1.0)], draft_s=[0.3], samples=[(1, hit)], draft_tokens=[20])
        for hit in (1, 1, 0, 1)
    ]
    found = predict(of_tasks(*tasks), Candidate(name="run", dollars_per_mtok=0.5), 1)
    assert (found.alpha, found.g) == (0.75, pytest.approx(0.3))
    assert found.time_saved_pct == pytest.approx(100 * 0.75 / 3)
    assert found.high_pct - found.low_pct > 10  # all tasks take the same time: only alpha varies
    assert (found.draft_tokens_per_turn, found.dollars_per_100_turns) == (20.0, pytest.approx(100 * 20 * 0.5e-6))


def test_a_run_without_a_draft_has_none_to_offer():
    with pytest.raises(ConfigError, match=r"no draft answered in the run\. Give them: --draft run:g="):
        predict(of_tasks(TaskEvidence(turns=[turn(2.0, 1.0)])), Candidate(name="run"), 1)


def test_a_call_that_policy_refuses_saves_nothing():
    task = TaskEvidence(turns=[turn(2.0, 1.0, is_eligible=False)])
    assert predict(of_tasks(task), DRAFT, 1).time_saved_pct == 0.0
    assert "policy refuses" in why_not(of_tasks(task), [])[0]


def test_samples_of_unknown_likeness_count_as_alike_with_independence_as_the_upper_limit():
    found = predict(place(), DRAFT, 3)
    assert found.time_saved_pct == predict(place(), DRAFT, 1).time_saved_pct
    apart = predict(place(), parse("8B:g=0.3,alpha=0.6,rho=0"), 3)
    assert apart.alpha == pytest.approx(1 - 0.4**3)
    assert (found.low_pct, found.high_pct) == (found.time_saved_pct, pytest.approx(apart.time_saved_pct))
    assert found.bound_pct == apart.bound_pct
    assert "rho not known" in found.note


def test_agents_that_queue_for_the_draft_hear_from_it_later():
    draft = parse("8B:g=0.5,alpha=0.6,servers=1")
    alone, among = predict(place(), draft, 1), predict(place(num_agents=4), draft, 1)
    assert alone.g == pytest.approx(0.5)
    assert 0.6 < among.g < 2.0
    assert among.time_saved_pct < alone.time_saved_pct
    # The queue makes turns longer, and longer turns the queue shorter: both agree.
    mean_s = (4 * (3.5 - 0.6 * max(0.0, min(1.5, 2.0 - among.g))) + 1.0) / 5
    again_s = queued_g_s(g=0.5, between_s=mean_s - among.g, num_agents=4, num_servers=1)
    assert among.g == pytest.approx(again_s, rel=1e-3)


def test_more_agents_than_the_drafts_servers_can_answer_leave_nothing_to_save():
    found = predict(place(num_agents=16), parse("8B:g=0.5,alpha=0.6,servers=1"), 1)
    assert found.g == pytest.approx(8.0)
    assert found.time_saved_pct == 0.0


def test_speculation_that_fills_the_batch_slows_the_target_by_what_other_agents_cost():
    free, loaded = (predict(place(num_agents=8, beside_s=beside_s), DRAFT, 1) for beside_s in (0.0, 0.1))
    assert free.load == pytest.approx(1.0)
    assert 1.0 < loaded.load < 1.2
    assert loaded.time_saved_pct < free.time_saved_pct
    with pytest.raises(ConfigError, match="nothing is left for one alone"):
        predict(place(num_agents=8, beside_s=1.0), DRAFT, 1)


def test_prompts_cost_dollars_for_each_sample():
    draft = parse("8B:g=0.3,alpha=0.6,rho=0.5,tokens=40,dollars_per_mtok=0.4,dollars_per_prompt_mtok=0.05")
    found = predict(place(prompt_tokens=1000.0), draft, 3)
    assert found.dollars_per_100_turns == pytest.approx(100 * 3 * (40 * 0.4e-6 + 1000 * 0.05e-6))
    assert predict(place(), draft, 3).dollars_per_100_turns is None  # nobody knows the prompts


def test_a_draft_that_is_always_right_at_once_is_the_ceiling():
    assert ceiling_pct(place()) == pytest.approx(100 * 4 * 1.5 / 15)
    assert predict(place(), Candidate(name="oracle", g=0.0, alpha=1.0), 1).time_saved_pct == ceiling_pct(place())


@pytest.mark.parametrize(
    ("numbers", "draft", "reason"),
    [
        ({"T": 0.01}, "d:g=0.1,alpha=0.9", "T near 0"),
        ({}, "d:g=0.1,alpha=0.01", "alpha near 0"),
        ({}, "d:g=2.0,alpha=0.9", "g >= G"),
        ({}, "d:g=3.6,alpha=0.9", "g > G + T"),
    ],
)
def test_why_speculation_cannot_pay_is_said_in_words(numbers, draft, reason):
    here = place(**numbers)
    reasons = why_not(here, [predict(here, parse(draft), 1)])
    assert len(reasons) == 1
    assert reason in reasons[0]


def test_where_speculation_pays_nothing_is_said_against_it():
    assert why_not(place(), [predict(place(), DRAFT, 1)]) == []


def test_the_pick_is_the_cheapest_of_those_that_save_about_the_most():
    def found(text):
        return predict(place(), parse(text), 1)

    big, small = found("big:g=0.3,alpha=0.61,tokens=90"), found("small:g=0.3,alpha=0.60,tokens=30")
    weak = found("weak:g=0.3,alpha=0.2,tokens=10")
    chosen, reason = pick([big, small, weak])
    assert chosen is small
    assert "within 1 point of the most (big with 1 sample), and costs less" in reason
    chosen, reason = pick([found("late:g=9,alpha=0.9")])
    assert chosen is None
    assert "leave speculation off" in reason
