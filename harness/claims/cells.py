"""Evidence from tables of cells (harness/tables.py): a metric of some settings, or the difference of two groups of
them, block by block."""

from collections.abc import Callable, Mapping
from math import sqrt
from pathlib import Path
from typing import Any

import pandas as pd

from harness.claims.found import Absent, Evidence, shown
from harness.claims.schema import CellsEvidence
from harness.metrics.statistics import block_interval
from harness.tables import CELLS, noise_floor_pct
from precall.errors import ConfigError

SCALES = ("paper", "full", "local", "smoke")
"""Folders of results/runs, from the largest scale to the smallest."""


def _throughput_gain_pct(rows: Any) -> Any:
    return 100.0 * (rows["throughput_spec_tok_per_s"] / rows["throughput_base_tok_per_s"] - 1.0)


def _residual_pct(rows: Any) -> Any:
    return rows["time_saved_pct"] - rows["predicted_time_saved_pct"]


def _hit_rate(rows: Any) -> Any:
    return (rows["num_ready_hits"] + rows["num_pending_hits"]) / rows["num_confirmed"]


def _num_run_again(rows: Any) -> Any:
    """Predicted calls that were confirmed and whose tool ran once more, where policy lets every call run ahead: means
    over a cell's two runs."""
    num_matched = rows["call_acceptance_rate"] * rows["num_confirmed"]
    return (num_matched - rows["num_ready_hits"] - rows["num_pending_hits"]).round(6)


def _added_cost_pct(rows: Any) -> Any:
    return 100.0 * rows["added_usd_per_100_turns"] / rows["target_usd_per_100_turns_base"]


Metric = Callable[[Any], Any]

TIMED: Mapping[str, Metric] = {
    "time_saved_pct": lambda rows: rows["time_saved_pct"],
    "throughput_gain_pct": _throughput_gain_pct,
    "residual_pct": _residual_pct,
}
"""Metrics of time, in percent. Their noise floor is that of the time saved: two baselines whose times differ by some
percent differ by about as much in throughput."""

SAMPLED: Mapping[str, Metric] = {
    "throughput_base_tok_per_s": lambda rows: rows["throughput_base_tok_per_s"],
    "call_acceptance_rate": lambda rows: rows["call_acceptance_rate"],
    "hit_rate": _hit_rate,
    "added_cost_pct": _added_cost_pct,
}
"""Metrics that vary from block to block, and have no baseline to be held against."""

COUNTED: Mapping[str, Metric] = {
    "num_run_again": _num_run_again,
    "num_diverged": lambda rows: rows["num_diverged"],
}
"""Metrics that are counts of all that happened: they are added up, and have no interval."""

METRICS: Mapping[str, Metric] = {**TIMED, **SAMPLED, **COUNTED}


def cells_evidence(spec: CellsEvidence, results: Path) -> list[Evidence | Absent]:
    """Return what cells show: own ones, of the largest scale that has all of the experiments, then those of each folder
    of results/published that has them. Raises ConfigError for a table that cannot be read."""
    own = [results / "runs" / scale for scale in SCALES]
    folders = [folder for folder in own if _has_all(folder, spec)][:1]
    folders += [folder for folder in sorted((results / "published").glob("*/")) if _has_all(folder, spec)]
    found = [_in_folder(spec, folder, results) for folder in folders]
    return found or [Absent(reason=f"there are no cells of {' and '.join(spec.experiments)}")]


def _has_all(folder: Path, spec: CellsEvidence) -> bool:
    return all((folder / name / CELLS).is_file() for name in spec.experiments)


def _in_folder(spec: CellsEvidence, folder: Path, results: Path) -> Evidence | Absent:
    files = [folder / name / CELLS for name in spec.experiments]
    where = " and ".join(shown(file, results) for file in files)
    rows = pd.concat([_read(file, results) for file in files], ignore_index=True)
    groups = [_choose(rows, spec.where)] + ([_choose(rows, spec.minus)] if spec.minus is not None else [])
    chosen = pd.concat(groups)
    if any(group.empty for group in groups):
        return Absent(reason=f"{where} has no cell with {spec.where if groups[0].empty else spec.minus}")
    if others := sorted(set(chosen["origin"]) - set(spec.origins)):
        return Absent(reason=f"{where} is {' and '.join(others)}; the claim takes {' or '.join(spec.origins)}")
    try:
        values = [METRICS[spec.metric](group).astype(float) for group in groups]
    except (KeyError, TypeError):  # a table from before the metric, or a column of None
        values = []
    if not values or any(value.isna().any() for value in values):
        return Absent(reason=f"{where} has not measured {spec.metric} in every cell")
    limits = _limits(spec.metric, groups, values)
    if limits is None:
        return Absent(reason=f"{where} has no block with both {spec.where} and {spec.minus}")
    low, mid, high = limits
    is_set = "hit_rate_set" in chosen and chosen["hit_rate_set"].notna().any()
    return Evidence(
        low=low,
        mid=mid,
        high=high,
        noise_floor=_noise_floor_pct(rows, groups) if spec.metric in TIMED else 0.0,
        origin=" and ".join(sorted(set(chosen["origin"]))),
        file=where,
        is_published=folder.is_relative_to(results / "published"),
        is_hit_rate_set=bool(is_set),
    )


def _read(file: Path, results: Path) -> Any:
    try:
        return pd.read_parquet(file).assign(folder=file.parent.name)
    except (OSError, ValueError) as error:  # pyarrow's errors are among these
        what = f"{shown(file, results)} cannot be read: {error}"
        raise ConfigError(f"{what}. Remove it; the experiment's command writes it again from its cells.") from error


def _choose(rows: Any, where: Mapping[str, Any]) -> Any:
    """Return the rows that have one of the values in each column; none has, where there is no such column."""
    for column, wanted in where.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        rows = rows[rows[column].isin(values)] if column in rows else rows.iloc[:0]
    return rows


def _limits(metric: str, groups: list[Any], values: list[Any]) -> tuple[float | None, float, float | None] | None:
    if metric in COUNTED:
        total = sum(sign * float(value.sum()) for sign, value in zip((1, -1), values, strict=False))
        return total, total, total
    by_block = [value.groupby(group["block"]).mean() for group, value in zip(groups, values, strict=True)]
    blocks = by_block[0] if len(by_block) == 1 else (by_block[0] - by_block[1]).dropna()
    interval = block_interval(blocks.tolist())
    return None if interval.mid is None else (interval.low, interval.mid, interval.high)


def _noise_floor_pct(rows: Any, groups: list[Any]) -> float | None:
    """Return the noise floor of the mean over the first group less that over the second, from all cells under the same
    load. The variance of a mean is that of one cell over their number, and variances of the two add up."""
    load = pd.concat(groups)[["backend", "num_agents"]].drop_duplicates()
    of_one_cell = noise_floor_pct(rows.merge(load, on=["backend", "num_agents"])["noise_pct"].tolist(), 1)
    return None if of_one_cell is None else of_one_cell * sqrt(sum(1.0 / len(group) for group in groups))
