"""Fits the simulated engines of the check to calibration cells.

The simulator itself is fitted: it runs what the cells ran, both arms, and the draft alone where that was measured.
What is compared, run by run, are the means of four times, to the first token of first turns (the whole prompt is
computed) and of later ones (most of it is cached), per later token, and from asking the draft to a sample, and the
share of turns in which the draft was done before the target. A residual is the mean, over the runs of a setting's arm,
of the logarithm of simulated over measured time, or of the difference of shares, over `NOISE`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log, nan
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import build
from harness.backends.simulated.least_squares import Fit, fit
from harness.schema import SimulatedCoreConfig, SimulatedEngineConfig
from harness.simulator_check.cells import MeasuredCell
from harness.simulator_check.simulation import Engines, draft_alone_s, run
from precall.events import Event, EventKind

NOISE = 0.05
"""What a mean of a run may be off by, as a share of it."""
STEP = 0.15
"""Relative step of derivatives: means of a few requests change in jumps, as one comes before or after another."""
ARMS = ("base", "spec")
CORE = {"client_s": 2e-3, "stream_token_s": 1e-4}
TARGET = {"step_s": 3e-3, "sequence_s": 2e-4, "prefill_token_s": 1e-4, "overhead_s": 2e-3}
DRAFT = {"step_s": 1.5e-3, "sequence_s": 1e-4, "prefill_token_s": 5e-5}
"""What is fitted of the shared core, each target and each draft, and where the fit begins, in seconds. A message takes
as long on the draft's server as on the target's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Mean seconds of some runs, and the share of the turns with a draft in which it was done before the target;
    None where nothing had them."""

    first_ttft_s: float | None
    later_ttft_s: float | None
    tpot_s: float | None
    draft_s: float | None
    done_share: float | None

    @property
    def seconds(self) -> tuple[float | None, ...]:
        return (self.first_ttft_s, self.later_ttft_s, self.tpot_s, self.draft_s)


def times_of(runs: Iterable[Sequence[Event]]) -> Times:
    """Return the means over all events of some runs."""
    first, later, tpot, draft = [], [], [], []
    is_cut_off: list[bool] = []
    for event in (event for events in runs for event in events):
        data = event.data
        if event.kind is EventKind.DRAFT_ENDED:
            is_cut_off.append(data["is_cut_off"])
        elif event.kind is EventKind.DRAFT_ANSWERED:
            draft.append(event.time_s - data["sent_s"])
        elif event.kind is EventKind.GENERATION_FINISHED and data["first_token_s"] is not None:
            (later if event.turn else first).append(data["first_token_s"] - data["sent_s"])
            if data["num_output_tokens"] is not None and data["num_output_tokens"] > 1:
                tpot.append((data["finished_s"] - data["first_token_s"]) / (data["num_output_tokens"] - 1))
    return Times(
        first_ttft_s=_mean(first),
        later_ttft_s=_mean(later),
        tpot_s=_mean(tpot),
        draft_s=_mean(draft),
        done_share=1.0 - fmean(is_cut_off) if is_cut_off else None,
    )


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def target_of(cell: MeasuredCell) -> str:
    """Return the name of what is fitted of a cell's target."""
    return cell.config.model.name


def draft_of(cell: MeasuredCell) -> str:
    return cell.config.draft.model.name


def start(cells: Sequence[MeasuredCell]) -> dict[str, float]:
    """Return the parameters with which the fit begins, by what they belong to, a dot and their name."""
    targets, drafts = (dict.fromkeys(name(cell) for cell in cells) for name in (target_of, draft_of))
    owners = {"core": CORE, **dict.fromkeys(targets, TARGET), **dict.fromkeys(drafts, DRAFT)}
    return {f"{owner}.{name}": value for owner, own in owners.items() for name, value in own.items()}


def engines_of(parameters: Mapping[str, float], cell: MeasuredCell) -> Engines:
    """Return the engines with these parameters, as the cell's servers were limited."""

    def values(owner: str, names: Iterable[str]) -> dict[str, float]:
        return {name: parameters[f"{owner}.{name}"] for name in names}

    target = replace(SimulatedEngineConfig(block_size=cell.block_size), **values(target_of(cell), TARGET))
    draft = replace(target, **values(draft_of(cell), DRAFT))
    return Engines(
        target=build.engine_model(cell.config, target),
        draft=build.engine_model(cell.config, draft),
        core=SimulatedCoreConfig(**values("core", CORE)),
    )


def fit_engines(cells: Sequence[MeasuredCell], on_iteration: Callable[..., None] = lambda *_: None) -> Fit:
    """Return the engines' parameters at which the simulator comes closest to the runs of `cells`."""
    settings: dict[str, list[MeasuredCell]] = {}
    for cell in cells:
        settings.setdefault(cell.setting, []).append(cell)
    measured = {
        (setting, arm): [[times_of([events]) for events in cell.runs_of(arm)] for cell in blocks]
        for setting, blocks in settings.items()
        for arm in ARMS
    }
    alone_s = {setting: _alone_s(blocks) for setting, blocks in settings.items()}
    simulated = _Simulated()

    def residuals(parameters: Mapping[str, float]) -> NDArray[np.float64]:
        found = []
        for setting, blocks in settings.items():
            for arm in ARMS:
                found += _errors(simulated.times(blocks, parameters, arm), measured[setting, arm])
            if (seconds := alone_s[setting]) is not None:
                found.append(log(simulated.alone_s(blocks, parameters) / seconds) / NOISE)
        return np.array(found)

    return fit(residuals, start(cells), step=STEP, on_iteration=on_iteration)


class _Simulated:
    """What the simulator says of some cells, kept: a derivative changes one parameter, on which few of them depend, and
    baselines are the same whatever the draft is."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], Any] = {}

    def times(self, blocks: Sequence[MeasuredCell], parameters: Mapping[str, float], arm: str) -> list[Times]:
        owners, what = ("core", target_of(blocks[0]), draft_of(blocks[0])), blocks[0].setting
        if arm == "base":
            owners, what = owners[:2], str([(cell.agents, cell.latency) for cell in blocks])
        if (key := (arm, what, _of(parameters, owners))) not in self._known:
            self._known[key] = [times_of([run(cell, engines_of(parameters, cell), arm).events]) for cell in blocks]
        return self._known[key]

    def alone_s(self, blocks: Sequence[MeasuredCell], parameters: Mapping[str, float]) -> float:
        owners = target_of(blocks[0]), draft_of(blocks[0])
        key = (owners, str([cell.agents for cell in blocks]), _of(parameters, owners))
        if key not in self._known:
            self._known[key] = fmean(draft_alone_s(cell, engines_of(parameters, cell)) for cell in blocks)
        return self._known[key]


def _of(parameters: Mapping[str, float], owners: Iterable[str]) -> tuple[float, ...]:
    return tuple(value for name, value in parameters.items() if name.split(".")[0] in owners)


def _alone_s(blocks: Sequence[MeasuredCell]) -> float | None:
    """Return the mean seconds of a sample of the draft alone in the tasks of some cells; None if they were not
    measured."""
    if not blocks[0].draft_s:
        return None
    return fmean(s for cell in blocks for task in cell.tasks for turn in cell.draft_s[task.task_id] for s in turn)


def _errors(simulated: Sequence[Times], measured: Sequence[Sequence[Times]]) -> list[float]:
    """Return the residuals of one setting's arm, from one simulated run and the measured ones of each block."""
    errors = np.array(
        [_run_errors(one, other) for one, others in zip(simulated, measured, strict=True) for other in others]
    )
    is_there = ~np.isnan(errors).all(axis=0)
    return [float(error) / NOISE for error in np.nanmean(errors[:, is_there], axis=0)]


def _run_errors(simulated: Times, measured: Times) -> list[float]:
    """Return the errors of a simulated run; nan where there is nothing to compare."""
    pairs = zip(simulated.seconds, measured.seconds, strict=True)
    # Where the simulated target is done before every draft, there is no time to compare; the shares say so.
    errors = [nan if other is None else 0.0 if one is None else log(one / other) for one, other in pairs]
    one, other = simulated.done_share, measured.done_share
    return [*errors, nan if one is None or other is None else one - other]
