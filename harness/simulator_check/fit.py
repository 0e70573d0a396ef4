"""Fits the simulated engines of the check to calibration cells.

The simulator itself is fitted: it runs what the cells ran, both arms, and the draft alone where that was measured. What
is compared, run by run, are the means of four times: to the first token, of first turns (the whole prompt is computed)
and of later ones (most of it is cached), per later token, and from asking the draft to a sample. A residual is the
logarithm of simulated over measured, over `NOISE`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from harness import build
from harness.backends.simulated.least_squares import Fit, fit
from harness.schema import SimulatedEngineConfig
from harness.simulator_check.cells import MeasuredCell
from harness.simulator_check.simulation import Engines, draft_alone_s, run
from precall.events import Event, EventKind

NOISE = 0.05
"""What a mean of a run may be off by, as a share of it."""
ARMS = ("base", "spec")
TARGET = {"step_s": 3e-3, "sequence_s": 2e-4, "prefill_token_s": 1e-4, "overhead_s": 4e-3, "stream_token_s": 1e-4}
DRAFT = {"step_s": 1.5e-3, "sequence_s": 1e-4, "prefill_token_s": 5e-5}
"""What is fitted of the target and of each draft model, and where the fit begins, in seconds. A message takes as long
on both servers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Mean seconds of a run; None where nothing had them."""

    first_ttft_s: float | None
    later_ttft_s: float | None
    tpot_s: float | None
    draft_s: float | None

    def values(self) -> tuple[float | None, ...]:
        return (self.first_ttft_s, self.later_ttft_s, self.tpot_s, self.draft_s)


def times_of(runs: Iterable[Sequence[Event]]) -> Times:
    """Return the means over all events of some runs."""
    first, later, tpot, draft = [], [], [], []
    for event in (event for events in runs for event in events):
        data = event.data
        if event.kind is EventKind.DRAFT_ANSWERED:
            draft.append(event.time_s - data["sent_s"])
        elif event.kind is EventKind.GENERATION_FINISHED and data["first_token_s"] is not None:
            (later if event.turn else first).append(data["first_token_s"] - data["sent_s"])
            if data["num_output_tokens"] is not None and data["num_output_tokens"] > 1:
                tpot.append((data["finished_s"] - data["first_token_s"]) / (data["num_output_tokens"] - 1))
    return Times(
        first_ttft_s=_mean(first), later_ttft_s=_mean(later), tpot_s=_mean(tpot), draft_s=_mean(draft)
    )


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def start(cells: Sequence[MeasuredCell]) -> dict[str, float]:
    """Return the parameters with which the fit begins, by `target.` or the draft's name and what it is."""
    drafts = dict.fromkeys(cell.config.draft.model.name for cell in cells)
    of_drafts = {f"{draft}.{name}": value for draft in drafts for name, value in DRAFT.items()}
    return {**{f"target.{name}": value for name, value in TARGET.items()}, **of_drafts}


def engine_configs(parameters: Mapping[str, float], cell: MeasuredCell) -> tuple[SimulatedEngineConfig, ...]:
    """Return the cell's target and draft as they would stand in conf/backend/simulated.yaml."""

    def values(of: str, names: Iterable[str]) -> dict[str, float]:
        return {name: parameters[f"{of}.{name}"] for name in names}

    target = SimulatedEngineConfig(**values("target", TARGET), block_size=cell.block_size)
    draft = SimulatedEngineConfig(
        **values(cell.config.draft.model.name, DRAFT), overhead_s=target.overhead_s, block_size=cell.block_size
    )
    return target, draft


def engines_of(parameters: Mapping[str, float], cell: MeasuredCell) -> Engines:
    """Return the engines with these parameters, as the cell's servers were limited."""
    target, draft = (build.engine_model(cell.config, each) for each in engine_configs(parameters, cell))
    return Engines(target=target, draft=draft)


def fit_engines(cells: Sequence[MeasuredCell], on_iteration: Callable[..., None] = lambda *_: None) -> Fit:
    """Return the engines' parameters at which the simulator comes closest to the runs of `cells`."""
    measured = {(index, arm): times_of(cell.runs_of(arm)) for index, cell in enumerate(cells) for arm in ARMS}

    def residuals(parameters: Mapping[str, float]) -> NDArray[np.float64]:
        found = []
        for index, cell in enumerate(cells):
            engines = engines_of(parameters, cell)
            for arm in ARMS:
                simulated = times_of([run(cell, engines, arm).events])
                found += _errors(simulated, measured[index, arm])
            if cell.draft_s:
                alone_s = [s for task in cell.tasks for turn in cell.draft_s[task.task_id] for s in turn]
                found.append(log(draft_alone_s(cell, engines) / fmean(alone_s)) / NOISE)
        return np.array(found)

    return fit(residuals, start(cells), on_iteration=on_iteration)


def _errors(simulated: Times, measured: Times) -> list[float]:
    pairs = zip(simulated.values(), measured.values(), strict=True)
    # Where the simulated target is done before every draft, there is no time to compare: as if off by e.
    return [(1.0 if one is None else log(one / other)) / NOISE for one, other in pairs if other is not None]
