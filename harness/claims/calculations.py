"""Evidence that is computed: from the paper's figures as results/paper has them, and from the cost model.

Every function returns the least and the largest value that the evidence allows: of figures, what the reading of a point
leaves open (the files' first lines say how much); of the cost model, which is exact, twice the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise, product

from harness.backends.simulated.paper import published
from precall.cost_model.client import client_speedup, largest_speedup, speedup_bound
from precall.cost_model.engine import resident_turn_time_s

Range = tuple[float, float]

READING_TOK_PER_S = 0.5
READING_PCT = 0.1
READING_USD = 0.0005  # half of the last digit
MAIN_MODEL_USD = 0.606  # per 100 turns: first line of fig7_cost.csv


def _around(value: float, reading: float) -> Range:
    return value - reading, value + reading


def _differences(figure: str, column: str, of: str, less: str) -> list[float]:
    """Return, by tool latency, the points of the method `of` less those of the method `less`."""
    points = {(row["method"], row["tool_latency_s"]): float(row[column]) for row in published(figure)}
    return [value - points[less, latency] for (method, latency), value in points.items() if method == of]


def largest_gain_tok_per_s() -> Range:
    """The largest gain of figure 1, speculative less vanilla, in tokens/s."""
    gains = _differences("fig1_throughput", "throughput_tok_per_s", "speculative", "vanilla")
    return _around(max(gains), 2.0 * READING_TOK_PER_S)


def smallest_time_saved_pct() -> Range:
    """The smallest time saved that figure 6 shows, of any draft at any latency."""
    return _around(min(float(row["time_saved_pct"]) for row in published("fig6_time_saved_client")), READING_PCT)


def largest_added_cost_pct() -> Range:
    """The largest added cost of figure 7, in percent of what the main model costs."""
    largest_usd = max(float(row["added_cost_usd_per_100_turns"]) for row in published("fig7_cost"))
    return _around(100.0 * largest_usd / MAIN_MODEL_USD, 100.0 * READING_USD / MAIN_MODEL_USD)


def smallest_engine_advantage_points() -> Range:
    """The smallest difference of figure 8, engine side less client side at one latency, in points of time saved."""
    advantages = _differences("fig8_client_vs_engine", "time_saved_pct", "engine", "client")
    return _around(min(advantages), 2.0 * READING_PCT)


# The cost model, in units of G. A draft that takes no time is a limit that no draft reaches.
_DRAFTS = [step / 20.0 for step in range(1, 31)]  # g / G, up to drafts slower than the target
_TOOLS = [step / 20.0 for step in range(1, 81)]  # T / G
_ALPHAS = [step / 10.0 for step in range(11)]
_TINY = 1e-9


def speedup_beyond_bound() -> Range:
    """By how much the largest speed-up exceeds 2 - 2g / (G + g + T), at worst, for g < G."""
    worst = max(
        largest_speedup(G=1.0, g=g, T=T) - speedup_bound(G=1.0, g=g, T=T) for g, T in product(_DRAFTS, _TOOLS) if g < 1
    )
    return worst, worst


def speedups_of_wrong_sign() -> Range:
    """How many combinations have a speed-up above 1 where alpha is 0 or g >= G, or none where neither is so."""
    num = sum(
        (client_speedup(G=1.0, g=g, T=T, alpha=alpha) > 1.0 + _TINY) != (alpha > 0.0 and g < 1.0)
        for g, T, alpha in product(_DRAFTS, _TOOLS, _ALPHAS)
    )
    return float(num), float(num)


def falls_with_acceptance() -> Range:
    """How often the speed-up falls, or stays, as alpha grows by a step, for g < G."""
    num = sum(
        client_speedup(G=1.0, g=g, T=T, alpha=more) <= client_speedup(G=1.0, g=g, T=T, alpha=less)
        for g, T in product(_DRAFTS, _TOOLS)
        for less, more in pairwise(_ALPHAS)
        if g < 1.0
    )
    return float(num), float(num)


def best_tool_time_off_generation() -> Range:
    """How far the tool time of the largest speed-up lies from G, in units of G: for drafts that take up to a quarter of
    G, least and most."""
    offsets = [
        abs(max(_TOOLS, key=lambda T, g=g: largest_speedup(G=1.0, g=g, T=T)) - 1.0) for g in _DRAFTS if g <= 0.25
    ]
    return min(offsets), max(offsets)


def best_engine_tool_time_below_reasoning() -> Range:
    """By how much the best tool time of a resident turn is below its reasoning, in units of that: for drafts that take
    up to a quarter of it, least and most. The paper's equation has no maximum; this is ours, whose call takes a tenth
    of the reasoning, or a hundredth once it is drafted, and a post as long as that."""
    call, drafted, post = 0.1, 0.01, 0.01

    def speedup(T: float, g: float) -> float:
        return (1.0 + call + T) / resident_turn_time_s(R_s=1.0, t_s=call, drafted_s=drafted, g=g, T=T, post_s=post)

    tools = [step / 100.0 for step in range(1, 401)]
    below = [1.0 - max(tools, key=lambda T, g=g: speedup(T, g)) for g in _DRAFTS if g <= 0.25]
    return min(below), max(below)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calculation:
    """A function above, the origin of what it returns and what it reads."""

    function: Callable[[], Range]
    origin: str
    reads: str


def _of_paper(function: Callable[[], Range], figure: str) -> Calculation:
    return Calculation(function=function, origin="paper", reads=f"results/paper/{figure}.csv")


def _of_model(function: Callable[[], Range]) -> Calculation:
    return Calculation(function=function, origin="modelled", reads="precall/cost_model")


CALCULATIONS: Mapping[str, Calculation] = {
    "largest_gain_tok_per_s": _of_paper(largest_gain_tok_per_s, "fig1_throughput"),
    "smallest_time_saved_pct": _of_paper(smallest_time_saved_pct, "fig6_time_saved_client"),
    "largest_added_cost_pct": _of_paper(largest_added_cost_pct, "fig7_cost"),
    "smallest_engine_advantage_points": _of_paper(smallest_engine_advantage_points, "fig8_client_vs_engine"),
    "speedup_beyond_bound": _of_model(speedup_beyond_bound),
    "speedups_of_wrong_sign": _of_model(speedups_of_wrong_sign),
    "falls_with_acceptance": _of_model(falls_with_acceptance),
    "best_tool_time_off_generation": _of_model(best_tool_time_off_generation),
    "best_engine_tool_time_below_reasoning": _of_model(best_engine_tool_time_below_reasoning),
}
"""By the name that a claim gives."""
