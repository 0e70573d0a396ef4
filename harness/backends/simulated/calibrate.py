"""`python -m harness.backends.simulated.calibrate`: fits the simulator to the paper's figures 1 and 6, without the 3B
draft, and keeps the parameters, with how well each is known, in results/published/simulated.

The simulator itself is fitted, in one repeat of the cells behind those figures. A residual is the error over what we
aim at: 1.5 points of time saved, 3 % of throughput. Several starts, since the parameters make up for each other; the
best fit to these figures is taken, and nothing that is held out is looked at.

`--also FIGURE` fits a held-out figure too, from a start of its own, and keeps nothing: it tells what the model's form
could do from what the fitted figures leave open.
"""

import argparse
import gc
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import provenance
from harness.backends.simulated import paper
from harness.backends.simulated.figures import THROUGHPUT, Point, points, rms
from harness.backends.simulated.grid import PAPER_TASKS, Grid
from harness.backends.simulated.least_squares import Fit, fit
from harness.backends.simulated.paper import PaperParameters
from harness.backends.simulated.setting import Method
from precall.errors import ConfigError

AIM = {THROUGHPUT: 3.0, "time_saved_pct": 1.5}
WEAK = 0.3
"""A parameter whose standard deviation is a larger share of it is weakly identified."""
STRONG_CORRELATION = 0.8

STARTS = (
    PaperParameters(
        reasoning_tokens=97.0,
        answer_tokens=57.0,
        spread=0.54,
        step_s=0.0071,
        experts_s=0.0166,
        draft_step_s=0.0013,
        overhead_s=0.01,
    ),
    PaperParameters(
        reasoning_tokens=87.0,
        answer_tokens=80.0,
        spread=0.42,
        step_s=0.0118,
        experts_s=0.0093,
        draft_step_s=0.0035,
        overhead_s=0.09,
    ),
    PaperParameters(
        reasoning_tokens=127.0,
        answer_tokens=48.0,
        spread=0.56,
        step_s=0.0088,
        experts_s=0.0095,
        draft_step_s=0.0027,
        overhead_s=0.31,
    ),
)
"""Where coarse fits ended whose overhead began at 0.01, 0.05 and 0.3 s."""
START_WITH_MORE = PaperParameters(
    reasoning_tokens=110.0,
    answer_tokens=89.0,
    spread=0.5,
    step_s=0.0045,
    experts_s=0.02,
    draft_step_s=0.003,
    overhead_s=0.5,
)


def fitted_points() -> list[Point]:
    return [point for point in points() if point.is_fitted and point.value != 0.0]


def errors(parameters: Mapping[str, float], wanted: list[Point]) -> NDArray[np.float64]:
    """Return the error of every point over its aim."""
    grid = Grid(PaperParameters(**parameters))
    return np.array([point.error(predict(grid, point)) / AIM[point.metric] for point in wanted])


def predict(grid: Grid, point: Point) -> float:
    """Return what one repeat says of a point, with the paper's number of tasks."""
    if point.method is Method.standard:
        return grid.standard(point.latency_s, point.num_agents, PAPER_TASKS, 0).throughput_tok_per_s
    cell = grid.cell(point.method, point.draft, point.num_samples, point.latency_s, point.num_agents, 0, PAPER_TASKS)
    return getattr(cell, point.metric)


def fit_to(wanted: list[Point], start: PaperParameters) -> Fit:
    return fit(
        lambda parameters: errors(parameters, wanted),
        asdict(start),
        on_iteration=lambda cost, at: print(f"{cost:.3f} {at}", file=sys.stderr, flush=True),
    )


def calibrate() -> dict[str, Any]:
    """Return the calibration that `main` keeps."""
    wanted = fitted_points()
    fits = [fit_to(wanted, start) for start in STARTS]
    best = min(fits, key=lambda found: found.cost)
    names = list(best.parameters)
    correlated = {
        f"{one}, {other}": round(best.correlation(one, other), 2)
        for index, one in enumerate(names)
        for other in names[index + 1 :]
        if abs(best.correlation(one, other)) >= STRONG_CORRELATION
    }
    return {
        "parameters": asdict(PaperParameters(**best.parameters)),
        "num_points": len(wanted),
        "cost": best.cost,
        "relative_std": best.relative_std,
        "weakly_identified": weakly_identified(fits, best),
        "correlations": correlated,
        "by_start": [{"cost": found.cost, "parameters": found.parameters} for found in fits],
    }


def fit_with(figure: str) -> dict[str, Any]:
    """Fit a held-out figure too, and return the parameters and every fitted figure's root mean square error."""
    wanted = [*fitted_points(), *(point for point in points() if point.figure == figure)]
    found = fit_to(wanted, START_WITH_MORE)
    of_figure: dict[str, list[float]] = {}
    for point, residual in zip(wanted, found.residuals, strict=True):
        of_figure.setdefault(point.figure, []).append(float(residual) * AIM[point.metric])
    rms_of = {name: round(rms(of_it), 2) for name, of_it in of_figure.items()}
    return {"parameters": found.parameters, "cost": found.cost, "rms_by_figure": rms_of}


def weakly_identified(fits: Sequence[Fit], best: Fit) -> list[str]:
    """Return the parameters that these figures leave open: their standard deviation is large, or fits from other starts
    that are nearly as good (their cost within 4 of the best, two standard deviations) have them far from it."""
    others = [found for found in fits if found.cost - best.cost < 4.0]
    return [
        name
        for name, value in best.parameters.items()
        if best.relative_std[name] > WEAK or any(abs(np.log(found.parameters[name] / value)) > WEAK for found in others)
    ]


def load() -> dict[str, Any]:
    """Return the kept calibration. Raises ConfigError when there is none."""
    file = paper.calibration_file()
    if not file.exists():
        raise ConfigError(f"{file} is missing; run `make calibrate`, which fits the simulator to the paper's figures.")
    return json.loads(file.read_text(encoding="utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit the simulator to the paper's figures.")
    parser.add_argument("--also", metavar="FIGURE", help="a held-out figure to fit too; nothing is kept")
    also = parser.parse_args().also
    gc.disable()  # nothing here makes cycles, and looking for them takes a fifth of the time
    if also:
        print(json.dumps(fit_with(also)))
        return
    found = calibrate()
    file = paper.calibration_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({**found, "provenance": provenance.collect(None)}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found["parameters"]))


if __name__ == "__main__":
    main()
