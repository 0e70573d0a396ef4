"""The tables of an experiment: one row per finished cell, kept in parquet for the figures, and one record per
setting."""

import os
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from harness.cell import folder_of
from harness.metrics.statistics import block_interval, noise_floor_pct
from harness.records import NUM_READERS, manifests_in
from harness.schema import BackendKind, Config, DraftKind
from harness.sweep import Cell

CELLS = "cells.parquet"

# Columns by where they come from; the metrics are those of harness/metrics.
OF_BOTH_ARMS = (
    "num_graded",
    "num_solved",
    "generation_s",
    "answer_s",
    "ttft_s",
    "tpot_s",
    "tool_s",
    "num_output_tokens",
    "engine_steps",
    "decode_steps",
    "scheduled_tokens",
    "cpu_s",
    "target_usd_per_100_turns",
)
OF_SPECULATION = (
    "draft_s",
    "call_acceptance_rate",
    "eligible_share",
    "num_confirmed",
    "num_ready_hits",
    "num_pending_hits",
    "num_misses",
    "num_launched",
    "num_used",
    "num_wasted",
    "num_cancelled",
    "num_failed",
    "num_refused",
    "num_executed",
    "num_failed_posts",
    "saved_tool_s",
    "wasted_tool_s",
    "fired_share",
    "drafted_share",
    "drafting_s",
    "num_cut_off_drafts",
    "num_draft_prompt_tokens",
    "num_draft_output_tokens",
    "added_usd_per_100_turns",
)
OF_THE_COMPARISON = (
    "time_saved_pct",
    "noise_pct",
    "predicted_time_saved_pct",
    "predicted_loaded_time_saved_pct",
    "ceiling_time_saved_pct",
    "trajectory_alpha",
    "num_diverged",
    "num_diverged_base",
    "num_identical",
    "num_prompts",
    "num_equal_prompts",
)


def cell_row(cell: Cell) -> dict[str, Any]:
    """Return one finished cell as a flat row."""
    config, metrics = cell.config, folder_of(cell).read_json("metrics.json")
    runs = metrics["runs"]
    row = {
        "cell_id": cell.cell_id,
        "experiment": config.experiment,
        "setting": cell.setting_id,
        "block": cell.block,
        "num_agents": config.agent.num_agents,
        "workload": config.workload.name,
        "backend": config.backend.name,
        "model": config.model.name,
        "draft": config.draft.model.name,
        "draft_place": config.draft.place.value,
        "num_samples": config.draft.num_samples,
        "speculation": config.speculation.mode.value,
        "is_adaptive": config.speculation.is_adaptive,
        "is_residency": config.backend.is_residency,
        "is_drafting": config.backend.is_drafting,
        "origin": origin_of(config),
        "latency_kind": config.latency.kind,
        "latency_mean_g": config.latency.mean_g,
        "latency_mean_s": metrics["latency_mean_s"],
        "hit_rate_set": _hit_rate_set(config),
    }
    for arm in ("base", "spec"):
        row[f"throughput_{arm}_tok_per_s"] = _mean(runs, arm, "throughput_tok_per_s")
        row |= {f"{name}_{arm}": _mean(runs, arm, name) for name in OF_BOTH_ARMS}
    row |= {name: _mean(runs, "spec", name) for name in OF_SPECULATION}
    row |= {name: metrics.get(name) for name in OF_THE_COMPARISON}
    return row


def _mean(runs: dict[str, dict[str, Any]], arm: str, name: str) -> float | None:
    # A cell that was finished before a metric existed has not measured it.
    values: list[Any] = [run.get(name) for key, run in runs.items() if key.startswith(arm)]
    return None if None in values else fmean(values)


def _hit_rate_set(config: Config) -> float | None:
    """Return the share of calls that the draft is made to have; None where it has what it has."""
    if config.draft.kind is DraftKind.oracle:
        return config.draft.alpha
    return config.workload.hit_rate if config.model.is_replay and config.draft.kind is DraftKind.model else None


def origin_of(config: Config) -> str:
    """Return how the numbers of a configuration come about."""
    if config.backend.kind is BackendKind.simulated:
        return "modelled"
    return "replayed" if config.model.is_replay else "measured"


def write_tables(cells: Sequence[Cell], folder: Path) -> pd.DataFrame:
    """Write the rows of the finished cells to parquet and return them, in the order of the cells."""
    finished = {name for name, manifest in manifests_in(folder).items() if manifest["status"] == "finished"}
    with ThreadPoolExecutor(NUM_READERS) as readers:
        frame = pd.DataFrame(list(readers.map(cell_row, (cell for cell in cells if cell.cell_id in finished))))
    partial = folder / f"{CELLS}.{os.getpid()}.partial"  # another process may write it, too
    frame.to_parquet(partial, index=False)
    partial.replace(folder / CELLS)
    return frame


def summarise(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one record per setting: means over blocks, intervals, prediction and residual, noise floor."""
    settings: dict[str, list[Row]] = {}
    noise_pct: dict[tuple[str, int], list[float]] = {}
    for row in frame.to_dict("records"):
        settings.setdefault(row["setting"], []).append(row)  # pyright: ignore[reportArgumentType]
        noise_pct.setdefault(_load(row), []).append(row["noise_pct"])
    return [_record(rows, noise_floor_pct(noise_pct[_load(rows[0])], len(rows))) for rows in settings.values()]


Row = Mapping[Hashable, Any]


def _load(row: Row) -> tuple[str, int]:
    return row["backend"], row["num_agents"]


def _record(rows: Sequence[Row], noise_floor: float | None) -> dict[str, Any]:
    saved = block_interval([row["time_saved_pct"] for row in rows])
    # None where the server does not count tokens.
    throughput = {arm: [_number(row[f"throughput_{arm}_tok_per_s"]) for row in rows] for arm in ("base", "spec")}
    ratio = block_interval([s / b for s, b in zip(throughput["spec"], throughput["base"], strict=True) if s and b])
    predicted = _mean_of(rows, "predicted_time_saved_pct")
    loaded = _mean_of(rows, "predicted_loaded_time_saved_pct")
    num_identical = _sum_of(rows, "num_identical")
    first = rows[0]
    num_samples = _number(first.get("num_samples"))
    return {
        "experiment": first["experiment"],
        "workload": first["workload"],
        "draft": first["draft"],
        "draft_place": first["draft_place"],
        "num_samples": None if num_samples is None else int(num_samples),
        "speculation": first["speculation"],
        # Rows that were written before it could be chosen have it off.
        "is_adaptive": bool(first.get("is_adaptive", False)),
        "num_agents": int(first["num_agents"]),
        "origin": first["origin"],
        "latency_mean_g": _number(first["latency_mean_g"]),
        "latency_mean_s": _number(first["latency_mean_s"]),
        "num_blocks": len(rows),
        "throughput_base_tok_per_s": _mean_of(rows, "throughput_base_tok_per_s"),
        "throughput_spec_tok_per_s": _mean_of(rows, "throughput_spec_tok_per_s"),
        "throughput_ratio": [ratio.low, ratio.mid, ratio.high],
        "time_saved_pct": [saved.low, saved.mid, saved.high],
        "noise_floor_pct": noise_floor,
        "predicted_time_saved_pct": predicted,
        "residual_pct": None if predicted is None or saved.mid is None else saved.mid - predicted,
        "residual_of_load_pct": None if predicted is None or loaded is None else loaded - predicted,
        "generation_s_base": _mean_of(rows, "generation_s_base"),
        "generation_s_spec": _mean_of(rows, "generation_s_spec"),
        "draft_s": _mean_of(rows, "draft_s"),
        "call_acceptance_rate": _mean_of(rows, "call_acceptance_rate"),
        "eligible_share": _mean_of(rows, "eligible_share"),
        "solved_share_base": _share(rows, "num_solved_base", "num_graded_base"),
        "solved_share_spec": _share(rows, "num_solved_spec", "num_graded_spec"),
        "fired_share": _mean_of(rows, "fired_share"),
        "executed_share": _share(rows, "num_executed", "num_confirmed"),
        "num_diverged": _sum_of(rows, "num_diverged"),
        "num_diverged_base": _sum_of(rows, "num_diverged_base"),
        "num_identical": None if num_identical is None else int(num_identical),
        "equal_prompts_share": _share(rows, "num_equal_prompts", "num_prompts"),
        "steps_ratio": _share(rows, "engine_steps_spec", "engine_steps_base"),
        "scheduled_tokens_ratio": _share(rows, "scheduled_tokens_spec", "scheduled_tokens_base"),
        "cpu_s_ratio": _share(rows, "cpu_s_spec", "cpu_s_base"),
    }


def _mean_of(rows: Sequence[Row], name: str) -> float | None:
    """Return the mean over the blocks that have measured it; rows that were written before it was counted have not."""
    known = [value for row in rows if (value := _number(row.get(name))) is not None]
    return fmean(known) if known else None


def _sum_of(rows: Sequence[Row], name: str) -> float | None:
    """Return the sum over the blocks, None where one has not measured it."""
    values = [_number(row.get(name)) for row in rows]
    return None if None in values else sum(value for value in values if value is not None)


def _share(rows: Sequence[Row], part: str, whole: str) -> float | None:
    num, total = _sum_of(rows, part), _sum_of(rows, whole)
    return None if num is None or not total else num / total


def _number(value: Any) -> float | None:
    return None if value is None or value != value else float(value)  # noqa: PLR0124 - NaN
