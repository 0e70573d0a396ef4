"""What `what-if` says: the table of predictions, which draft to pick and why, and when speculation cannot pay."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.metrics.cost_fit import CostFit, Estimate
from harness.what_if.evidence import Place
from harness.what_if.predict import Prediction, base_task_s, speculative_task_s

SYMBOLS = {
    "generation_s": "G",
    "answer_s": "G_f",
    "tool_s": "T",
    "draft_s": "g",
    "call_acceptance_rate": "alpha",
    "sample_acceptance_rate": "alpha of one sample",
    "sample_correlation": "rho",
    "prefill_token_s": "phi",
    "decode_token_s": "delta",
    "overhead_s": "o",
}
EQUAL_PCT = 1.0
"""Savings that differ by less, in percent of the time, are alike; the cheaper draft is then the better one."""
SMALL_SHARE = 0.02
"""Tool time, or a call acceptance rate, below this share leaves next to nothing to save."""


def ceiling_pct(place: Place) -> float:
    """Return the time that a draft would save that answers at once and is always right, in percent."""
    base_s, spec_s = base_task_s(place.tasks).sum(), speculative_task_s(place.tasks, 1.0, 0.0).sum()
    return 100.0 * (1.0 - float(spec_s) / float(base_s))


def pick(predictions: Sequence[Prediction]) -> tuple[Prediction | None, str]:
    """Return the prediction to follow, None for no speculation, and the reason."""
    paying = [each for each in predictions if each.time_saved_pct > 0.0 and (each.low_pct is None or each.low_pct > 0)]
    if not paying:
        return None, "no draft saves time beyond its interval: leave speculation off"
    best = max(paying, key=lambda each: each.time_saved_pct)
    alike = [each for each in paying if each.time_saved_pct > best.time_saved_pct - EQUAL_PCT]
    chosen = min(alike, key=_cost_of)
    reason = f"saves {chosen.time_saved_pct:.1f} % of the time"
    if len(alike) > 1 and chosen is not best:
        return chosen, f"{reason}, within {EQUAL_PCT:g} point of the most ({_name(best)}), and costs less"
    return chosen, f"{reason}, more than any other" if len(predictions) > 1 else reason


def _cost_of(prediction: Prediction) -> tuple[float, float, int, float]:
    """Dollars before tokens before samples; what is not known counts as most. Then the time saved."""
    unknown = float("inf")
    dollars, tokens = prediction.dollars_per_100_turns, prediction.draft_tokens_per_turn
    return (
        unknown if dollars is None else dollars,
        unknown if tokens is None else tokens,
        prediction.num_samples,
        -prediction.time_saved_pct,
    )


def why_not(place: Place, predictions: Sequence[Prediction]) -> list[str]:
    """Return in words what keeps speculation from paying here."""
    turns = [turn for task in place.tasks for turn in task.turns if turn.tool_s]
    if not turns:
        return ["No turn ends in a call: there is nothing to speculate."]
    reasons = []
    G, T = fmean(turn.generation_s for turn in turns), fmean(sum(turn.tool_s) for turn in turns)
    if T < SMALL_SHARE * (G + T):
        reasons.append(f"Tools take {T:.3g} s of a turn of {G + T:.3g} s: there is next to nothing to hide (T near 0).")
    num_eligible = sum(any(turn.is_eligible) for turn in turns)
    if not num_eligible:
        reasons.append("No call may run ahead: policy refuses the effects of these tools.")
    for each in predictions:
        if each.alpha < SMALL_SHARE:
            reasons.append(f"{_name(each)} has {100 * each.alpha:.1f} of 100 calls: next to none (alpha near 0).")
        if each.g > G + T:
            reasons.append(
                f"{_name(each)} answers after {each.g:.3g} s, when a turn of {G + T:.3g} s is over (g > G + T)."
            )
        elif each.g >= G:
            reasons.append(f"{_name(each)} answers after {each.g:.3g} s, when the target has its call itself (g >= G).")
    return reasons


def _name(prediction: Prediction) -> str:
    return f"{prediction.draft} with {prediction.num_samples} sample{'s' if prediction.num_samples > 1 else ''}"


def as_json(place: Place, predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Return the last line's object. Predictions are modelled, from figures of the place's origin."""
    chosen, reason = pick(predictions)
    return {
        "target": "what-if",
        "origin": "modelled",
        "origin_of_inputs": place.origin,
        "num_tasks": len(place.tasks),
        "ceiling_pct": ceiling_pct(place),
        "estimates": None if place.fit is None else asdict(place.fit),
        "predictions": [asdict(each) for each in predictions],
        "pick": None if chosen is None else {"draft": chosen.draft, "num_samples": chosen.num_samples},
        "reason": reason,
        "why_not": why_not(place, predictions),
    }


def show(place: Place, predictions: Sequence[Prediction], console: Console) -> None:
    """Print the fit, the predictions and the recommendation."""
    if place.fit is not None:
        console.print(fit_table(place.fit))
    table = Table(title=f"Expected time saved (modelled, from {place.origin} figures)")
    for name in ("draft", "samples", "alpha", "g (s)", "time saved (%)", "bound (%)", "tokens/turn", "$/100 turns"):
        table.add_column(name, justify="left" if name == "draft" else "right")
    for each in predictions:
        limits = "" if each.low_pct is None else f" [{each.low_pct:.1f}, {each.high_pct:.1f}]"
        table.add_row(
            each.draft,
            str(each.num_samples),
            f"{each.alpha:.3f}",
            f"{each.g:.3g}",
            f"{each.time_saved_pct:.1f}{limits}",
            f"{each.bound_pct:.1f}",
            _text(each.draft_tokens_per_turn, ".0f"),
            _text(each.dollars_per_100_turns, ".3f"),
        )
    console.print(table)
    for note in dict.fromkeys(each.note for each in predictions if each.note):
        console.print(f"Samples: {note}.")
    console.print(f"A draft that is always right, at once, would save {ceiling_pct(place):.1f} %.")
    for reason in why_not(place, predictions):
        console.print(reason)
    chosen, reason = pick(predictions)
    console.print(f"Pick: {'none' if chosen is None else _name(chosen)}: {reason}.")


def fit_table(fit: CostFit) -> Table:
    table = Table(title="Fit (95 % intervals over tasks)")
    for name in ("quantity", "symbol", "value", "interval", "origin, or why there is no value"):
        table.add_column(name)
    for field in fields(fit):
        estimate: Estimate = getattr(fit, field.name)
        has_value = estimate.value is not None
        table.add_row(
            field.name,
            SYMBOLS.get(field.name, ""),
            _text(estimate.value, ".4g"),
            "" if estimate.low is None else f"[{estimate.low:.4g}, {estimate.high:.4g}]",
            ", ".join(filter(None, (estimate.origin if has_value else None, estimate.note))),
        )
    return table


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
