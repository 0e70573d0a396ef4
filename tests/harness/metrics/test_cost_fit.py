"""Fits against timelines by hand; tests/harness/what_if holds them against a simulated run."""

import pytest

from harness.metrics.cost_fit import fit
from harness.metrics.evidence import evidence_of
from precall.events import EventKind
from tests.harness.metrics.timelines import asked, ended, event, generated, settled, started


def trajectory(task, run, *, G=2.0, T=1.0):
    """One call and an answer of 1 s."""
    return [
        started(0.0, task, run),
        generated(0.0, G, task=task, run=run),
        settled(G + T, task=task, run=run, duration_s=T),
        generated(G + T, G + T + 1.0, task=task, run=run, turn=1, num_calls=0),
        ended(G + T + 1.0, task, run),
    ]


def found(runs, **options):
    return fit(list(evidence_of(runs, **{"block_size": 1, **options}).values()), "measured")


def answer(task, turn, g, *names, sample=0):
    """A sample that is sent at 0 and answers after `g` with calls of `names`."""
    calls = [{"name": name, "arguments": "{ }"} for name in names]
    return event(
        EventKind.DRAFT_ANSWERED,
        g,
        task,
        "spec-1",
        turn,
        sample=sample,
        sent_s=0.0,
        calls=calls,
        num_output_tokens=7,
    )


def test_times_are_means_over_the_baselines_runs():
    runs = {
        "base-1": trajectory("a", "base-1", G=2.0, T=1.0) + trajectory("b", "base-1", G=4.0, T=3.0),
        "base-2": trajectory("a", "base-2", G=3.0, T=1.0) + trajectory("b", "base-2", G=5.0, T=3.0),
        "spec-1": trajectory("a", "spec-1", G=9.0, T=9.0),
    }
    fitted = found(runs)
    assert (fitted.generation_s.value, fitted.tool_s.value, fitted.answer_s.value) == (3.5, 2.0, 1.0)
    assert fitted.generation_s.low < 3.5 < fitted.generation_s.high
    assert (fitted.generation_s.num_tasks, fitted.generation_s.origin) == (2, "measured")


def test_a_baseline_alone_says_nothing_of_the_draft_and_why():
    fitted = found({"base-1": trajectory("a", "base-1")})
    for name, reason in [
        ("draft_s", "no draft answered"),
        ("call_acceptance_rate", "no draft was asked"),
        ("sample_correlation", "no turn has two samples"),
        ("prefill_token_s", "prompts are not known"),
        ("overhead_s", "needs prefill_token_s"),
    ]:
        estimate = getattr(fitted, name)
        assert estimate.value is None
        assert reason in estimate.note
    assert fitted.generation_s.note == "one task: no interval"


def test_drafts_and_their_hits_are_those_of_the_speculative_runs():
    events = [
        *(asked(0.0, task=task) for task in "ab"),
        answer("a", 0, 0.5, "f"),
        settled(2.0, task="a", run="spec-1", is_predicted=True),
        settled(2.0, task="b", run="spec-1"),
    ]
    fitted = found({"base-1": trajectory("a", "base-1") + trajectory("b", "base-1"), "spec-1": events})
    assert (fitted.draft_s.value, fitted.draft_tokens.value, fitted.call_acceptance_rate.value) == (0.5, 7.0, 0.5)
    assert fitted.sample_acceptance_rate.value == 0.5  # a draft that was cut off has no call
    assert fitted.draft_s.note == "too low: the target was done before 1 of 2 drafts"


@pytest.mark.parametrize(
    ("samples", "alpha", "rho"),
    [
        ([("f", "f"), ("g", "g")], 0.5, 1.0),  # alike within each turn
        ([("f", "g"), ("f", "g")], 0.5, 0.0),  # as apart as can be
        # 3 of 4 samples, 2 of 4 ordered pairs: (1/2 - 9/16) / (3/16) is below 0, which no likelihood has
        ([("f", "f"), ("f", "g")], 0.75, 0.0),
        # 4 of 6 samples, 4 of 6 ordered pairs: (2/3 - 4/9) / (2/9)
        ([("f", "f"), ("f", "f"), ("g", "g")], 2 / 3, 1.0),
    ],
)
def test_how_alike_samples_are_by_hand(samples, alpha, rho):
    events = []
    for turn, names in enumerate(samples):
        events.append(asked(0.0, turn=turn))
        events += [answer("a", turn, 0.5, name, sample=index) for index, name in enumerate(names)]
        events.append(settled(2.0, run="spec-1", turn=turn, is_predicted="f" in names))
    fitted = found({"base-1": trajectory("a", "base-1"), "spec-1": events})
    assert fitted.sample_acceptance_rate.value == pytest.approx(alpha)
    assert fitted.sample_correlation.value == pytest.approx(rho)


def requests(num_prompts, *, ttft_s, tpot_s=0.1, num_tokens=11, gap_s=100.0):
    """One task whose turns have prompts of these lengths; `ttft_s` gives the seconds by fresh tokens."""
    events, cached = [], 0
    for turn, num_prompt in enumerate(num_prompts):
        sent_s, first_s = turn * gap_s, ttft_s(num_prompt - cached)
        end_s = sent_s + first_s + tpot_s * (num_tokens - 1)
        one = generated(sent_s, end_s, turn=turn, first_token_s=sent_s + first_s, num_output_tokens=num_tokens)
        one.data["num_prompt_tokens"] = num_prompt
        events.append(one)
        cached = num_prompt + num_tokens
    return events


def test_prefill_decoding_and_overhead_come_from_the_times_to_the_first_token_and_after():
    fitted = found({"base-1": requests([100, 160, 300], ttft_s=lambda fresh: 2 * 0.3 + 0.01 * fresh + 0.1)})
    assert fitted.prefill_token_s.value == pytest.approx(0.01)
    assert fitted.decode_token_s.value == pytest.approx(0.1)
    assert fitted.overhead_s.value == pytest.approx(0.3)


def test_without_prefix_caching_every_token_of_a_prompt_is_computed():
    runs = {"base-1": requests([100, 100, 100], ttft_s=lambda fresh: 0.5)}
    assert "all alike" in found(runs, block_size=None).prefill_token_s.note
    assert "does not grow with the prompt" in found(runs).prefill_token_s.note


def test_a_prefix_cache_has_full_blocks_alone():
    tasks = evidence_of({"base-1": requests([100, 160, 172], ttft_s=lambda fresh: 0.5)}, block_size=16)
    # 111 tokens from the first turn, 6 full blocks; 171 from the second, 10 full blocks.
    assert [request.num_fresh_tokens for request in tasks["a"].requests] == [100, 160 - 96, 172 - 160]


def test_what_other_generations_cost_a_token_comes_from_those_that_ran_beside_it():
    def one(task, sent_s, tpot_s):
        end_s = sent_s + 1.0 + 10 * tpot_s
        return generated(sent_s, end_s, task=task, first_token_s=sent_s + 1.0, num_output_tokens=11)

    # a and d alone; b and c at once from beginning to end, so that each has one beside it.
    events = [one("a", 0.0, 0.1), one("d", 20.0, 0.1), one("b", 50.0, 0.15), one("c", 50.0, 0.15)]
    assert found({"base-1": events}).beside_s.value == pytest.approx(0.05)
    even = [one("a", 0.0, 0.1), one("b", 50.0, 0.1), one("c", 50.0, 0.1)]
    assert "does not take longer beside" in found({"base-1": even}).beside_s.note
