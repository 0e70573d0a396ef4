"""`python -m harness.backends.simulated.head_start`: what the paper's figures 6 and 8 say of its draft's speed, without
a model of an engine.

A task is a turn that calls a tool, generated in G, and an answer; together they take x without the tool. A draft that
answers after g has a head start of d = G - g, and with a tool latency of T

    time saved = 100 alpha E[min(T, d)] / (x + T) %

Source: the paper's cost model per turn, with the answer's generation in x (ours). `x` and `d` are fitted to each
figure's client-side points of the 8B draft. If load stretches G and the answer alike, and makes no draft faster, then
(d32 - d1) / (x32 - x1) is the least share of x that G can be, and that share of x1 less d1 the least that g can be
for one agent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

import numpy as np

from harness.backends.simulated import paper
from harness.backends.simulated.least_squares import fit

_QUANTILES = tuple(NormalDist().inv_cdf((index + 0.5) / 200) for index in range(200))
_START = {"generation_s": 5.0, "head_start_s": 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadStart:
    """`generation_s` is x and `head_start_s` d, in seconds; `rms_points` what the points of time saved are off."""

    generation_s: float
    head_start_s: float
    rms_points: float


def time_saved_pct(latency_s: float, alpha: float, *, generation_s: float, head_start_s: float) -> float:
    """Return the time saved at a mean tool latency, which is normal with the paper's assumed spread, in percent."""
    drawn = (max(0.0, latency_s * (1.0 + paper.RELATIVE_STD * quantile)) for quantile in _QUANTILES)
    return 100.0 * alpha * fmean(min(each, head_start_s) for each in drawn) / (generation_s + latency_s)


def fit_points(points: Sequence[tuple[float, float]], alpha: float) -> HeadStart:
    """Return x and d of (tool latency in seconds, time saved in percent)."""

    def residuals(at: Mapping[str, float]) -> np.ndarray:
        return np.array([time_saved_pct(latency_s, alpha, **at) - saved for latency_s, saved in points])

    found = fit(residuals, _START)
    return HeadStart(**found.parameters, rms_points=float(np.sqrt(np.mean(found.residuals**2))))


def least_draft_s(one: HeadStart, many: HeadStart) -> float:
    """Return the least g of one agent, in seconds, from what one agent and many show."""
    share = (many.head_start_s - one.head_start_s) / (many.generation_s - one.generation_s)
    return share * one.generation_s - one.head_start_s


def of_paper() -> tuple[HeadStart, HeadStart]:
    """Return what figure 8 (one agent) and figure 6 (32 agents) say."""
    alpha = paper.hit_rates()[paper.LARGEST, 1]
    rows = {
        "fig8_client_vs_engine": ("method", "client"),
        "fig6_time_saved_client": ("draft_model", paper.LARGEST),
    }
    one, many = (
        fit_points(
            [
                (float(row["tool_latency_s"]), float(row["time_saved_pct"]))
                for row in paper.published(name)
                if row[column] == value
            ],
            alpha,
        )
        for name, (column, value) in rows.items()
    )
    return one, many


def main() -> None:
    one, many = of_paper()
    for name, found in (("figure 8, 1 agent", one), ("figure 6, 32 agents", many)):
        print(
            f"{name}: x = {found.generation_s:.1f} s, d = {found.head_start_s:.2f} s, rms {found.rms_points:.2f} points"
        )
    print(f"so the draft takes at least {least_draft_s(one, many):.1f} s for one agent")


if __name__ == "__main__":
    main()
