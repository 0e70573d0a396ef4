"""Results by hand: small frames of cells, benches and events that every figure can be drawn from."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from harness.records import RunFolder
from precall.events import EventKind
from tests.harness.metrics.timelines import (
    asked,
    drafted,
    ended,
    event,
    execution_ended,
    generated,
    launched,
    settled,
    started,
)


def cells(**changes: Any) -> pd.DataFrame:
    """Three latencies, three blocks: the speculative arm is 10 % faster in the mean block, G is 0.5 s."""
    rows = [
        {
            "cell_id": f"T={latency_s}-b{block}",
            "setting": f"T={latency_s}",
            "block": block,
            "num_agents": 8,
            "workload": "replay_tiny",
            "model": "tiny",
            "draft": "oracle",
            "draft_place": "elsewhere",
            "num_samples": 1,
            "speculation": "client",
            "hit_rate_set": 0.8,
            "origin": "replayed",
            "latency_mean_s": latency_s,
            "throughput_base_tok_per_s": 200.0 - 10.0 * latency_s,
            "throughput_spec_tok_per_s": (200.0 - 10.0 * latency_s) * gain,
            "time_saved_pct": 10.0 * latency_s + block,
            "predicted_time_saved_pct": 12.0 * latency_s,
            "predicted_loaded_time_saved_pct": 11.0 * latency_s,
            "ceiling_time_saved_pct": 20.0 * latency_s,
            "call_acceptance_rate": 0.8,
            "saved_tool_s": 4.0 * latency_s,
            "wasted_tool_s": latency_s * (1.0 + block),
            "noise_pct": -0.5 * block,
            "generation_s_base": 0.5,
        }
        for latency_s in (0.0, 0.5, 1.0)
        for block, gain in enumerate((1.08, 1.10, 1.12))
    ]
    return pd.DataFrame(rows).assign(**changes)


def hit_rate_cells(**changes: Any) -> pd.DataFrame:
    """Two drafts, 1 and 3 samples, two blocks; 100 confirmed calls a cell, the vanilla arm at 200 tokens/s."""
    rows = [
        {
            "setting": f"{draft}-{num_samples}",
            "block": block,
            "num_samples": num_samples,
            "draft": draft,
            "draft_place": "colocated",
            "speculation": "client",
            "model": "pocket",
            "num_agents": 8,
            "workload": "pocket",
            "origin": "measured",
            "latency_mean_s": 0.5,
            "throughput_base_tok_per_s": 200.0,
            "throughput_spec_tok_per_s": 200.0 + num_hits + 2 * block,
            "time_saved_pct": 1.0,
            "call_acceptance_rate": num_hits / 100,
            "saved_tool_s": 2.0,
            "wasted_tool_s": 1.0 * num_samples,
            "num_ready_hits": num_hits - 10,
            "num_pending_hits": 10,
            "num_confirmed": 100,
            "noise_pct": 1.0 - 3.0 * block,
            "generation_s_base": 0.5,
        }
        for draft, num_samples, num_hits in (("s", 1, 40), ("s", 3, 50), ("m", 1, 70), ("m", 3, 80))
        for block in (0, 1)
    ]
    return pd.DataFrame(rows).assign(**changes)


def client_and_engine_cells() -> pd.DataFrame:
    """The engine side saves 2 points more than the client side, 3 in block 1 and 4 in block 2."""
    client = cells(num_agents=1, is_residency=True, is_drafting=True)
    engine = client.assign(
        speculation="engine",
        setting=client["setting"] + ",engine",
        time_saved_pct=client["time_saved_pct"] + client["block"] + 2.0,
    )
    return pd.concat([client, engine], ignore_index=True)


def given_cells() -> pd.DataFrame:
    """The target with the draft's hardware: it saves 8 % where tools take no time."""
    found = cells(draft_place="given_to_target", speculation="off")
    return found.assign(time_saved_pct=8.0 - 2.0 * found["latency_mean_s"] + 0.1 * found["block"])


def engine_bench() -> dict[str, Any]:
    def setting(block_size: int, gain: float) -> dict[str, Any]:
        ratios = {agents: {"o3": [1.0, 1.02, 1.04], "o3_o2": [gain - 0.1, gain, None]} for agents in ("1", "8", "32")}
        return {
            "block_size": block_size,
            "reasoning_words": 60.0,
            "tokens_per_s_ratio": ratios,
            "cpu_s_ratio": ratios,
            "noise_floor_by_agents": {"1": 0.05, "8": 0.1, "32": None},
        }

    return setting(32, 1.2) | {"kv_block_128": setting(128, 1.3), "rows": [{"block": 0}, {"block": 1}]}


def ablation_bench() -> dict[str, Any]:
    """Without optimisation a trajectory takes 10 s, measured and modelled; the model promises 40 % for all three."""
    modelled_s = {"separate": 10.0, "O1": 8.0, "O1+O3": 7.5, "O1+O2": 7.0, "all": 6.0}
    arms = {
        arm: {"modelled_s": seconds, "time_saved_pct": None if arm == "separate" else [5.0, 10.0, 15.0]}
        for arm, seconds in modelled_s.items()
    }
    rows = [
        {"arm": "separate", "is_prefix_caching": is_on, "block": block, "trajectory_s": 10.0 + change, "num_agents": 8}
        for is_on in (True, False)
        for block in (0, 1)
        for change in (-0.1 * block, 0.1 * block)
    ]
    return {"prefix_caching_on": arms, "prefix_caching_off": arms, "rows": rows}


def timeline_folder(folder: Path, *, mode: str) -> Path:
    """Write cells, with events for the one at T = G, block 1: task a is a hit, task b a miss with a lost execution."""
    hits = {"num_ready_hits": 1.0, "num_pending_hits": 0.0, "num_wasted": 1.0, "num_cancelled": 0.0, "num_failed": 0.0}
    cells_folder(folder, cells(speculation=mode, **hits))
    run = RunFolder(folder / "T=0.5-b1")
    run.path.mkdir()
    run.append_events("base-1", [*_plain("a"), *_plain("b")])
    run.append_events("spec-1", [*_hit("a", is_engine=mode == "engine"), *_miss("b")])
    return folder


def _plain(task: str) -> list[Any]:
    return [
        started(0.0, task),
        generated(0.0, 1.0, task=task, first_token_s=0.1),
        settled(1.5, task=task, duration_s=0.5),
        generated(1.5, 2.0, task=task, turn=1, first_token_s=1.6, num_calls=0),
        ended(2.0, task),
    ]


def _hit(task: str, *, is_engine: bool) -> list[Any]:
    run = "spec-1"
    posted = {"name": "f", "arguments": "{}", "is_running": False}
    return [
        started(0.0, task, run),
        asked(0.0, task=task),
        drafted(0.0, 0.2, task=task),
        launched(0.2, task=task),
        *([event(EventKind.OUTPUT_POSTED, 0.7, task, run, 0, **posted)] if is_engine else []),
        generated(0.0, 1.0, task=task, run=run, first_token_s=None if is_engine else 0.1),
        execution_ended(0.7, "used", 0.5, task=task),
        settled(1.0, task=task, run=run, outcome="ready_hit", is_executed=is_engine),
        generated(1.0, 1.5, task=task, run=run, turn=1, first_token_s=None if is_engine else 1.1, num_calls=0),
        ended(1.5, task, run),
    ]


def _miss(task: str) -> list[Any]:
    run = "spec-1"
    return [
        started(0.0, task, run),
        asked(0.0, task=task),
        drafted(0.0, 0.2, task=task),
        launched(0.2, task=task),
        generated(0.0, 1.0, task=task, run=run, first_token_s=0.1),
        execution_ended(1.0, "cancelled", 0.8, task=task),
        settled(1.5, task=task, run=run, duration_s=0.5),
        generated(1.5, 2.0, task=task, run=run, turn=1, first_token_s=1.6, num_calls=0),
        ended(2.0, task, run),
    ]


def cells_folder(folder: Path, frame: pd.DataFrame) -> Path:
    folder.mkdir(parents=True)
    frame.to_parquet(folder / "cells.parquet")
    return folder


def cost_cells() -> pd.DataFrame:
    """One and five samples, three blocks each: 0.1 USD per 100 turns for each sample, and two points of time saved."""
    found = [
        cells()
        .query("latency_mean_s == 1.0")
        .assign(
            num_samples=num_samples,
            setting=f"samples={num_samples}",
            backend="simulated",
            origin="modelled",
            added_usd_per_100_turns=0.1 * num_samples,
            target_usd_per_100_turns_spec=0.6,
            time_saved_pct=lambda rows, num=num_samples: rows["time_saved_pct"] + 2.0 * num,
        )
        for num_samples in (1, 5)
    ]
    return pd.concat(found, ignore_index=True)


def check_cells() -> pd.DataFrame:
    """The simulator is a point above what was measured; the cells without tool latency calibrated it."""
    found = cells(experiment="fig1", origin="modelled", origin_of_cell="replayed")
    return found.assign(
        latency_mean_g=2.0 * found["latency_mean_s"],
        is_held_out=found["latency_mean_s"] > 0.0,
        simulated_time_saved_pct=found["time_saved_pct"] + 1.0,
    )


def scaling_bench() -> dict[str, Any]:
    rows = [
        {
            "num_agents": num_agents,
            "num_turns": 20 * num_agents,
            "wall_s": 0.01 * num_agents,
            "cpu_ms_per_turn": 0.5,
            "events_per_turn": 2.0,
            "simulated_s": 30.0,
        }
        for num_agents in (1, 32, 1024)
    ]
    return {"by_agents": rows, "provenance": {"cpu": "a processor"}, "origin": "modelled"}


def bench_folder(folder: Path, **benches: dict[str, Any]) -> Path:
    folder.mkdir(parents=True)
    for name, bench in benches.items():
        (folder / f"{name}.json").write_text(json.dumps(bench))
    return folder


def write_all(folder: Path) -> dict[str, list[Path]]:
    """Write results for every figure below `folder` and return where it lies, by figure."""
    plain, samples = cells_folder(folder / "fig1", cells()), cells_folder(folder / "fig5", hit_rate_cells())
    benches = bench_folder(
        folder / "bench", engine=engine_bench(), ablation=ablation_bench(), simulate_scaling=scaling_bench()
    )
    live = cells_folder(folder / "pocket", cells(hit_rate_set=None, origin="measured"))
    other = cells_folder(folder / "fig6", cells(hit_rate_set=None, origin="measured", draft="pocket_s"))
    both = cells_folder(folder / "fig8", client_and_engine_cells())
    given = cells_folder(folder / "target_hardware", given_cells())
    return {
        "fig1_throughput": [live],
        "fig1_throughput_replayed": [plain],
        "fig2_timeline_client": [timeline_folder(folder / "client", mode="client")],
        "fig3_speedup_model": [],
        "fig4_timeline_engine": [timeline_folder(folder / "engine", mode="engine")],
        "fig5_hit_rate": [samples],
        "fig6_time_saved": [other, live],
        "fig6_time_saved_replayed": [plain],
        "fig7_cost": [cells_folder(folder / "fig7_simulated", cost_cells())],
        "fig8_client_vs_engine": [both],
        "engine_agents": [benches],
        "engine_ablation": [benches],
        "headroom": [live],
        "headroom_replayed": [plain],
        "waste": [live],
        "waste_replayed": [plain],
        "waste_by_samples": [samples],
        "draft_hardware": [plain, given],
        "simulator_check": [cells_folder(folder / "simulator_check", check_cells())],
        "simulate_scaling": [benches],
        "api_table": [],
    }
