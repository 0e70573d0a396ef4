"""Fits the cost model's quantities to a run's evidence, each with its 95 % interval from resampling tasks, or with the
reason why the run does not show it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness.metrics.evidence import Request, TaskEvidence
from harness.metrics.statistics import resample_counts, share_interval, widened_interval

NUM_RESAMPLES = 2_000
Figures = NDArray[np.float64]
Statistic = Callable[[Figures], Figures]
"""From sums over tasks, of shape (quantities,) or (quantities, resamples), to one figure or one for each resample; NaN
where the sums do not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A fitted quantity with its limits (None below two tasks) and how its run came about. Without a value, `note` says
    why; with one, what is wrong with it."""

    value: float | None
    low: float | None = None
    high: float | None = None
    num_tasks: int = 0
    origin: str
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CostFit:
    """The quantities of the cost model in a run, with its symbols in brackets.

    Seconds: `generation_s` (G) of a generation that ends in a call, `answer_s` (G_f) of one that does not, `tool_s`
    (T), `draft_s` (g), `prefill_token_s` (phi), `decode_token_s` (delta), `overhead_s` (o); `beside_s` is what each
    other generation beside it adds to a token. Shares: `call_acceptance_rate` (alpha) of a turn's samples together,
    `sample_acceptance_rate` of one, and `sample_correlation` (rho). `draft_tokens` are those of a sample.
    """

    generation_s: Estimate
    answer_s: Estimate
    tool_s: Estimate
    draft_s: Estimate
    draft_tokens: Estimate
    call_acceptance_rate: Estimate
    sample_acceptance_rate: Estimate
    sample_correlation: Estimate
    prefill_token_s: Estimate
    decode_token_s: Estimate
    beside_s: Estimate
    overhead_s: Estimate


def fit(tasks: Sequence[TaskEvidence], origin: str) -> CostFit:
    """Return the quantities that `tasks` show; `origin` says how their runs came about."""

    def mean(values: Sequence[Sequence[float]], missing: str, note: str | None = None) -> Estimate:
        return estimate([[sum(each), len(each)] for each in values], ratio, origin, missing, note)

    def share(counts: Sequence[tuple[int, int]], missing: str) -> Estimate:
        found = estimate(counts, ratio, origin, missing)
        if found.value in (0.0, 1.0):  # all tasks alike: resampling shows no spread
            limits = share_interval(counts)
            return replace(found, low=limits.low, high=limits.high)
        if found.low is None or found.high is None:
            return found
        return replace(found, low=max(0.0, found.low), high=min(1.0, found.high))

    turns = [task.turns for task in tasks]
    requests = [task.requests for task in tasks]
    num_drafts, num_cut_off = sum(len(task.draft_s) for task in tasks), sum(task.num_cut_off for task in tasks)
    cut_off = f"too low: the target was done before {num_cut_off} of {num_drafts + num_cut_off} drafts"
    no_draft = "no draft answered"
    samples = [[sample_sums(*sample) for sample in task.samples] for task in tasks]
    prefills = [_sums(map(_prefill_sums, each), 6) for each in requests]
    prefill_token_s = estimate(
        prefills,
        slope,
        origin,
        "prompts are not known, or all alike, so that the time to the first token does not tell what a token costs",
        must_exceed_0="time to the first token does not grow with the prompt's fresh tokens beyond its spread",
    )
    return CostFit(
        generation_s=mean([[t.generation_s for t in each if t.tool_s] for each in turns], "no generation has a call"),
        answer_s=mean([[t.generation_s for t in each if not t.tool_s] for each in turns], "no generation is an answer"),
        tool_s=mean([[s for t in each for s in t.tool_s] for each in turns], "no tool ran"),
        draft_s=mean([task.draft_s for task in tasks], no_draft, cut_off if num_cut_off else None),
        draft_tokens=mean([task.draft_tokens for task in tasks], "no draft said how many tokens it generated"),
        call_acceptance_rate=share([(task.num_matched, task.num_confirmed) for task in tasks], "no draft was asked"),
        sample_acceptance_rate=share(
            [(sum(hits for _, hits in task.samples), sum(n for n, _ in task.samples)) for task in tasks], no_draft
        ),
        sample_correlation=estimate(
            [_sums(each, 4) for each in samples],
            correlation,
            origin,
            "no turn has two samples, or they all have every call or none",
        ),
        prefill_token_s=prefill_token_s,
        decode_token_s=estimate(
            [_sums(map(_decode_sums, each), 2) for each in requests],
            ratio,
            origin,
            "no generation told its first token and two tokens or more",
        ),
        beside_s=estimate(
            [_sums(map(_beside_sums, each), 5) for each in requests],
            slope,
            origin,
            "no two generations had different company",
            must_exceed_0="a token does not take longer beside other generations beyond its spread",
        ),
        overhead_s=_estimate(None, None, None, 0, origin, f"needs prefill_token_s: {prefill_token_s.note}")
        if prefill_token_s.value is None
        else estimate(
            prefills,
            _overhead,
            origin,
            "the time to the first token is not known",
            must_exceed_0="nothing is left of the time to the first token beyond its spread",
        ),
    )


def estimate(
    rows: Sequence[Sequence[float]],
    statistic: Statistic,
    origin: str,
    missing: str,
    note: str | None = None,
    must_exceed_0: str | None = None,
) -> Estimate:
    """Return a statistic of sums, a row of which each task has, with its interval; `missing` is said where it has no
    value, and `must_exceed_0` where its interval does not lie above 0."""
    table = np.array([row for row in rows if any(row)], dtype=float)
    value = float(statistic(table.sum(axis=0))) if len(table) else float("nan")
    if not np.isfinite(value):
        return _estimate(None, None, None, 0, origin, missing)
    low = high = None
    if len(table) > 1:
        resampled = statistic((resample_counts(len(table), NUM_RESAMPLES) @ table).T)
        interval = widened_interval(value, resampled[np.isfinite(resampled)], len(table))
        low, high = interval.low, interval.high
    if must_exceed_0 and (value <= 0.0 or (low is not None and low <= 0.0)):
        limits = "" if low is None else f" [{low:.3g}, {high:.3g}]"
        return _estimate(None, None, None, 0, origin, f"{must_exceed_0}: {value:.3g}{limits}")
    return _estimate(value, low, high, len(table), origin, note)


def _estimate(
    value: float | None, low: float | None, high: float | None, num_tasks: int, origin: str, note: str | None
) -> Estimate:
    if value is not None and low is None and note is None:
        note = "one task: no interval"
    return Estimate(value=value, low=low, high=high, num_tasks=num_tasks, origin=origin, note=note)


def ratio(sums: Figures) -> Figures:
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[0] / sums[1]


def slope(sums: Figures) -> Figures:
    """Of the line through points, from their number and the sums of x, x^2, y and xy."""
    n, x, xx, y, xy = sums[:5]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(n * xx - x * x > 1e-9 * n * xx, (n * xy - x * y) / (n * xx - x * x), np.nan)


def correlation(sums: Figures) -> Figures:
    """rho of `sampled_alpha`: from the samples, those with the call, ordered pairs of samples of one turn, and pairs in
    which both have it. Source: ours; the moments of the beta-binomial, E[p^2] = alpha^2 + rho alpha (1 - alpha)."""
    num_samples, num_hits, num_pairs, num_hit_pairs = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        alpha = num_hits / num_samples
        return np.clip((num_hit_pairs / num_pairs - alpha**2) / (alpha * (1.0 - alpha)), 0.0, 1.0)


def _overhead(sums: Figures) -> Figures:
    """Half of what the time to the first token has beyond its prefill and one token."""
    n, x, _, y, _, token_s = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        return ((y - slope(sums) * x - token_s) / n) / 2.0


def sample_sums(num_samples: int, num_hits: int) -> list[float]:
    """Return what `correlation` takes, of a turn with `num_samples` samples of which `num_hits` have the call."""
    return [num_samples, num_hits, num_samples * (num_samples - 1), num_hits * (num_hits - 1)]


def _prefill_sums(request: Request) -> list[float]:
    x, y, token_s = request.num_fresh_tokens, request.ttft_s, request.tpot_s
    return [0.0] * 6 if x is None or token_s is None else [1, x, x * x, y, x * y, token_s]


def _decode_sums(request: Request) -> list[float]:
    num_tokens = request.num_tokens - 1
    return [0.0, 0.0] if request.tpot_s is None else [request.tpot_s * num_tokens, num_tokens]


def _beside_sums(request: Request) -> list[float]:
    x, y = request.num_beside, request.tpot_s
    return [0.0] * 5 if y is None else [1, x, x * x, y, x * y]


def _sums(rows: Iterable[Sequence[float]], num_quantities: int) -> list[float]:
    return list(np.sum([[0.0] * num_quantities, *rows], axis=0))
