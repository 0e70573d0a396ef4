"""Predicts what a draft with some number of samples would save in a place."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from harness.metrics.cost_fit import Figures, correlation, sample_sums
from harness.metrics.evidence import PlainTurn, TaskEvidence
from harness.metrics.statistics import resample_counts, widened_interval
from harness.what_if.candidates import OF_THE_RUN, Candidate
from harness.what_if.evidence import Place
from precall.cost_model.capacity import loaded_G_s, queued_g_s, sampled_alpha, sampled_g_s
from precall.cost_model.client import saved_share_bound
from precall.cost_model.turns import expected_turn_time_s
from precall.errors import ConfigError

NUM_RESAMPLES = 400
NUM_REPETITIONS = 500
Seconds = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a draft with `num_samples` samples brings: the time saved in percent with its limits (None where there is
    nothing to resample), the bound that its call acceptance rate (alpha) puts to it, the seconds until it answers (g,
    with its queue), G beside speculation over G of the baseline, and what it costs (None: not known)."""

    draft: str
    num_samples: int
    alpha: float
    g: float
    load: float
    time_saved_pct: float
    low_pct: float | None
    high_pct: float | None
    bound_pct: float
    draft_tokens_per_turn: float | None
    dollars_per_100_turns: float | None
    note: str | None


def predict(place: Place, candidate: Candidate, num_samples: int) -> Prediction:
    """Return the prediction for a candidate; g, alpha and rho that it lacks are those of the place's own draft.

    Raises ConfigError where the place has none.
    """
    tasks = place.tasks
    own_sums = draft_sums(tasks)
    draft = completed(candidate, own_sums.sum(axis=0))
    if draft is None:
        raise ConfigError(
            f"draft {candidate.name} has no g or no alpha, and no draft answered in the run. Give them: "
            f"--draft {candidate.name}:g=0.3,alpha=0.6."
        )
    alpha, alone_s = _sampled(draft, num_samples)
    g = alone_s if draft.servers is None else _queued_g_s(place, alpha, alone_s, int(draft.servers))
    load_s = _load_s(place, alpha, g)
    base_s, spec_s = base_task_s(tasks), speculative_task_s(tasks, alpha, g, load_s)
    saved_pct = _saved_pct(base_s, spec_s)
    low = high = note = None
    most_alpha = alpha
    if len(tasks) > 1:

        def own_spec_s(count: Figures) -> Seconds | None:
            """Return `spec_s` with the g and alpha of a resample of the run's drafts; None where it has none."""
            own = completed(candidate, count @ own_sums)
            if own is None:
                return None
            own_alpha, own_alone_s = _sampled(replace(own, rho=draft.rho if own.rho is None else own.rho), num_samples)
            return speculative_task_s(tasks, own_alpha, own_alone_s + g - alone_s, load_s)

        resampled = []
        for count in resample_counts(len(tasks), NUM_RESAMPLES):
            of_count = spec_s if draft == candidate else own_spec_s(count)
            if of_count is not None:
                resampled.append(_saved_pct(count * base_s, count * of_count))
        interval = widened_interval(saved_pct, np.array(resampled), len(tasks))
        low, high = interval.low, interval.high
    if num_samples > 1 and draft.rho is None:
        note = "rho not known: taken as 1 (samples all alike), with the upper limit at 0"
        most_alpha, _ = _sampled(replace(draft, rho=0.0), num_samples)
        most_pct = _saved_pct(base_s, speculative_task_s(tasks, most_alpha, g, load_s))
        low, high = (saved_pct if low is None else low), (most_pct if high is None else max(high, most_pct))
    tokens, dollars = _cost(place, draft, num_samples)
    base_G = _mean_G(tasks)
    return Prediction(
        draft=draft.name,
        num_samples=num_samples,
        alpha=alpha,
        g=g,
        load=(base_G + load_s) / base_G,
        time_saved_pct=saved_pct,
        low_pct=low,
        high_pct=high,
        bound_pct=100.0 * saved_share_bound(alpha=most_alpha),
        draft_tokens_per_turn=tokens,
        dollars_per_100_turns=dollars,
        note=note,
    )


def completed(candidate: Candidate, sums: Figures) -> Candidate | None:
    """Return the candidate with what it lacks of g, alpha, rho and tokens from the drafts of a run, given as
    `draft_sums` added up. None where that leaves it without g or alpha."""
    if candidate.name != OF_THE_RUN:
        return candidate
    draft_s, num_drafts, tokens, num_counted, *pairs = sums
    found = {
        "g": draft_s / num_drafts if num_drafts else None,
        "alpha": pairs[1] / pairs[0] if pairs[0] else None,
        "rho": _finite(float(correlation(np.array(pairs)))),
        "tokens": tokens / num_counted if num_counted else None,
    }
    result = replace(candidate, **{name: value for name, value in found.items() if getattr(candidate, name) is None})
    return None if result.g is None or result.alpha is None else result


def draft_sums(tasks: Sequence[TaskEvidence]) -> Figures:
    """Return a row for each task: seconds of its drafts and their number, tokens and the number of drafts that told
    them, and what `correlation` takes."""
    return np.array(
        [
            [
                *(sum(task.draft_s), len(task.draft_s), sum(task.draft_tokens), len(task.draft_tokens)),
                *np.sum([[0.0] * 4, *(sample_sums(*sample) for sample in task.samples)], axis=0),
            ]
            for task in tasks
        ]
    )


def base_task_s(tasks: Sequence[TaskEvidence]) -> Seconds:
    """Return the seconds of each task without speculation."""
    return np.array([sum(turn.generation_s + sum(turn.tool_s) for turn in task.turns) for task in tasks])


def speculative_task_s(tasks: Sequence[TaskEvidence], alpha: float, g: float, load_s: float = 0.0) -> Seconds:
    """Return the expected seconds of each task with speculation; `load_s` is what G grows by beside it."""
    return np.array([sum(_turn_s(turn, alpha, g, load_s) for turn in task.turns) for task in tasks])


def _turn_s(turn: PlainTurn, alpha: float, g: float, load_s: float) -> float:
    likelihoods = tuple(alpha if is_eligible else 0.0 for is_eligible in turn.is_eligible)
    return expected_turn_time_s(G=turn.generation_s + load_s, g=g, tool_s=turn.tool_s, alpha=likelihoods)


def _sampled(draft: Candidate, num_samples: int) -> tuple[float, float]:
    """Return alpha and g of `num_samples` samples; without a known rho they are all alike."""
    assert draft.g is not None and draft.alpha is not None, f"the draft {draft.name} has no g or no alpha"
    rho = 1.0 if draft.rho is None else draft.rho
    alpha = sampled_alpha(alpha=draft.alpha, rho=rho, num_samples=num_samples)
    return alpha, sampled_g_s(g=draft.g, per_sample_s=draft.per_sample_s, num_samples=num_samples)


def _turns(tasks: Sequence[TaskEvidence]) -> list[PlainTurn]:
    return [turn for task in tasks for turn in task.turns]


def _mean_G(tasks: Sequence[TaskEvidence]) -> float:
    return fmean(turn.generation_s for turn in _turns(tasks))


def _queued_g_s(place: Place, alpha: float, g: float, num_servers: int) -> float:
    """Return g with the queue before the draft's servers. What is left of a turn lies between an answer of the draft
    and the next request; the queue makes the turn longer, so the least wait that agrees with itself is sought from
    below. Beyond what the servers can answer it is that of all other agents; drafts that are given up make room, which
    is not modelled."""
    turns, queued_s = _turns(place.tasks), g
    for _ in range(NUM_REPETITIONS):
        turn_s = fmean(_turn_s(turn, alpha, queued_s, 0.0) for turn in turns)
        before_s, queued_s = (
            queued_s,
            queued_g_s(
                g=g, between_s=max(0.0, turn_s - queued_s), num_agents=place.num_agents, num_servers=num_servers
            ),
        )
        if queued_s - before_s < 1e-6 * g:
            break
    return queued_s


def _load_s(place: Place, alpha: float, g: float) -> float:
    """Return what G grows by as speculation fills the batch; 0 where it is not known what other agents cost."""
    if place.beside_s is None or place.num_agents == 1:
        return 0.0
    base_G, turns = _mean_G(place.tasks), _turns(place.tasks)

    def cycle_s(loaded_G: float) -> float:
        return fmean(_turn_s(turn, alpha, g, loaded_G - base_G) for turn in turns)

    base_s = fmean(turn.generation_s + sum(turn.tool_s) for turn in turns)
    alone_G = base_G - place.beside_s * (place.num_agents - 1) * base_G / base_s
    if alone_G <= 0.0:
        raise ConfigError(
            f"each other agent adds {place.beside_s:.3g} s to a generation of {base_G:.3g} s beside "
            f"{place.num_agents - 1} of them; nothing is left for one alone. Give G as measured beside all agents, and "
            "less with --beside."
        )
    return loaded_G_s(G=alone_G, per_agent_s=place.beside_s, num_agents=place.num_agents, cycle_s=cycle_s) - base_G


def _cost(place: Place, draft: Candidate, num_samples: int) -> tuple[float | None, float | None]:
    """Return the tokens that the draft generates in a turn, and the dollars of 100 turns. Each sample is a request that
    pays for the prompt."""
    tokens = None if draft.tokens is None else num_samples * draft.tokens
    if tokens is None or draft.dollars_per_mtok is None:
        return tokens, None
    dollars = 1e-4 * tokens * draft.dollars_per_mtok
    if draft.dollars_per_prompt_mtok:
        if place.prompt_tokens is None:
            return tokens, None
        dollars += 1e-4 * num_samples * place.prompt_tokens * draft.dollars_per_prompt_mtok
    return tokens, dollars


def _saved_pct(base_s: Seconds, spec_s: Seconds) -> float:
    return 100.0 * (1.0 - float(spec_s.sum()) / float(base_s.sum()))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
