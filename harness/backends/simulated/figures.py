"""The paper's figures beside what simulated cells predict for them: which points there are, and how far off."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean

from harness.backends.simulated import paper
from harness.backends.simulated.setting import Method


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One published value and the setting that it is for. `metric` is `throughput_tok_per_s` or `time_saved_pct`."""

    figure: str
    metric: str
    method: Method
    draft: str
    num_samples: int
    latency_s: float
    num_agents: int
    value: float
    is_fitted: bool

    def error(self, predicted: float) -> float:
        """Return how far a prediction is off: percent of a throughput, points of time saved."""
        return 100.0 * (predicted / self.value - 1.0) if self.metric == THROUGHPUT else predicted - self.value


THROUGHPUT = "throughput_tok_per_s"
TIME_SAVED = "time_saved_pct"
HELD_OUT_DRAFT = "xLAM-2-3B"


def points() -> list[Point]:
    """Return the published points that the simulator fits or predicts. Fitted are figure 1 and, of figure 6, the 1B and
    8B drafts. Figure 1 does not name the draft of its speculative curve; it is taken to be the 8B one, one sample."""
    found = []
    for row in paper.published("fig1_throughput"):
        is_standard = row["method"] == "vanilla"
        found.append(
            Point(
                figure="fig1_vanilla" if is_standard else "fig1_speculative",
                metric=THROUGHPUT,
                method=Method.standard if is_standard else Method.client,
                draft="" if is_standard else paper.LARGEST,
                num_samples=0 if is_standard else 1,
                latency_s=float(row["tool_latency_s"]),
                num_agents=32,
                value=float(row["throughput_tok_per_s"]),
                is_fitted=True,
            )
        )
    for row in paper.published("fig6_time_saved_client"):
        draft = row["draft_model"]
        found.append(_saved(f"fig6_{draft[-2:]}", row, Method.client, draft, 32, draft != HELD_OUT_DRAFT))
    for row in paper.published("fig8_client_vs_engine"):
        found.append(_saved(f"fig8_{row['method']}", row, Method(row["method"]), paper.LARGEST, 1, False))
    for row in paper.published("fig5_hit_rate"):
        is_standard = row["draft_model"] == "none"
        found.append(
            Point(
                figure="fig5",
                metric=THROUGHPUT,
                method=Method.standard if is_standard else Method.client,
                draft="" if is_standard else row["draft_model"],
                num_samples=int(row["num_samples"]),
                latency_s=1.5,
                num_agents=32,
                value=float(row["throughput_tok_per_s"]),
                is_fitted=False,
            )
        )
    return found


def _saved(figure: str, row: paper.Row, method: Method, draft: str, num_agents: int, is_fitted: bool) -> Point:
    return Point(
        figure=figure,
        metric=TIME_SAVED,
        method=method,
        draft=draft,
        num_samples=1,
        latency_s=float(row["tool_latency_s"]),
        num_agents=num_agents,
        value=float(row["time_saved_pct"]),
        is_fitted=is_fitted,
    )


def rms(errors: Iterable[float]) -> float:
    return sqrt(fmean(error**2 for error in errors))


def by_figure(points: Sequence[Point], predict: Callable[[Point], float]) -> dict[str, dict[str, object]]:
    """Return, per figure, the root mean square of the errors, their mean, and what they are in."""
    summary: dict[str, dict[str, object]] = {}
    for figure in dict.fromkeys(point.figure for point in points):
        of_it = [point for point in points if point.figure == figure]
        errors = [point.error(predict(point)) for point in of_it]
        summary[figure] = {
            "rms": round(rms(errors), 2),
            "bias": round(fmean(errors), 2),
            "unit": "% of throughput" if of_it[0].metric == THROUGHPUT else "points of time saved",
            "is_fitted": of_it[0].is_fitted,
            "num_points": len(of_it),
        }
    return summary
