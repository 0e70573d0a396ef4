"""`python -m harness.engine_checks.ablation`: what O1, O2 and O3 bring, each with and without prefix caching.

Arms: none (separate requests, tools after the turn), O1 (tools run while the target generates), O1+O3 (residency),
O1+O2 (drafts), all. Tools take `TOOL_G` times G, the mean time of a generation that ends in a call, so that O1 can hide
them. Beside each measured time stands that of the engine's cost model (eq:spec-engine and its siblings), whose phi,
delta and o come from the arms without optimisation. The last line on stdout is one JSON object, kept in
results/bench/ablation.json. Finished blocks are kept: after an interruption the same command goes on.
"""

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.backends.vllm_server import VllmServer
from harness.bench import write_bench
from harness.engine_checks.bench import KV_CACHE_GIB, LOGS, NUM_USER_TURNS, SEED, run_block, run_once
from harness.engine_checks.bench_arms import BASELINE, BenchArm, ServerName, server_settings
from harness.engine_checks.kept_rows import KeptRows, Row
from harness.engine_checks.workload import make_workload
from harness.metrics.statistics import block_interval
from precall.cost_model.engine import EngineRates, EngineWork, engine_time_s
from precall.errors import PrecallError

ARMS = (
    BenchArm(name="O1", server="stock", asks="chat", is_overlapping=True),
    BenchArm(name="O1+O3", server="o3", asks="opted_in"),
    BenchArm(name="O1+O2", server="o2", asks="opted_in"),
    BenchArm(name="all", server="o3_o2", asks="opted_in"),
)
SERVERS: tuple[ServerName, ...] = ("stock", "o2", "o3", "o3_o2")
BLOCK_SIZE = 32
TOOL_G = 0.5


async def measure(num_agents: int, num_blocks: int, kept: KeptRows, console: Console) -> dict[str, Any]:
    """Run what is not kept yet of both settings of prefix caching and return rows and figures."""
    rows: list[Row] = []
    for is_cached in (True, False):
        keys = [
            {"is_prefix_caching": is_cached, "num_agents": num_agents, "block": block} for block in range(num_blocks)
        ]
        if any(kept.find(key) is None for key in keys):
            await _measure_setting(keys, kept, console)
        rows += [row for key in keys for row in kept.find(key) or ()]
    return {"rows": rows, **figures(rows, num_agents)}


async def _measure_setting(keys: Sequence[Mapping[str, Any]], kept: KeptRows, console: Console) -> None:
    """Run the blocks of one setting that are not kept. Their tools take what those of the kept blocks took."""
    is_cached, num_agents = keys[0]["is_prefix_caching"], keys[0]["num_agents"]
    workload = await make_workload(num_agents, NUM_USER_TURNS, SEED)
    settings = server_settings(block_size=BLOCK_SIZE, is_prefix_caching=is_cached, kv_cache_gib=KV_CACHE_GIB)
    async with AsyncExitStack() as stack:
        servers: dict[ServerName, VllmServer] = {}
        for name in SERVERS:
            server = VllmServer(settings[name], log_folder=LOGS / f"ablation-{is_cached}")
            servers[name] = await stack.enter_async_context(server)
        alone = [
            await run_once(BASELINE, workload, servers["stock"], num_agents=num_agents, salt=f"warm-{is_cached}-{i}")
            for i in range(2)
        ]
        known = next((rows[0]["latency_s"] for key in keys if (rows := kept.find(key))), None)
        latency_s = TOOL_G * alone[-1]["generation_s"] if known is None else known
        for key in keys:
            if kept.find(key) is not None:
                continue
            console.print(f"prefix caching {'on' if is_cached else 'off'}: block {key['block'] + 1} of {len(keys)}")
            found = await run_block(
                ARMS,
                workload,
                servers,
                num_agents=num_agents,
                block=key["block"],
                salt=f"ablation/{is_cached}",
                latency_s=latency_s,
            )
            kept.add(key, [{"is_prefix_caching": is_cached, "latency_s": latency_s, **row} for row in found])


def figures(rows: Sequence[Row], num_tasks: int) -> dict[str, Any]:
    """Return the fitted rates and, by prefix caching and arm, measured and modelled seconds of a trajectory."""
    result: dict[str, Any] = {"rates": {}}
    for is_cached in (True, False):
        rates = rates_of(rows, is_cached)
        of_setting = [row for row in rows if row["is_prefix_caching"] == is_cached]
        work = work_of(rows, of_setting[0]["latency_s"], num_tasks)
        name = "on" if is_cached else "off"
        result["rates"][name] = {"phi": rates.phi, "delta": rates.delta, "o": rates.o}
        result[f"prefix_caching_{name}"] = {
            arm: _arm_figures(of_setting, arm, rates, work, is_cached)
            for arm in (BASELINE.name, *(each.name for each in ARMS))
        }
    return result


def rates_of(rows: Sequence[Row], is_cached: bool) -> EngineRates:
    """Return the rates of the runs without optimisation.

    delta: time per output token in this setting. phi and o: the line through the mean TTFT with prefix caching off and
    on, over the context tokens that the scheduler computed for a turn; its intercept is 2 o.
    """

    def of(metric: str, caching: bool) -> float:
        return fmean(row[metric] for row in rows if (row["arm"], row["is_prefix_caching"]) == (BASELINE.name, caching))

    tokens = {caching: of("context_tokens", caching) / of("num_turns", caching) for caching in (True, False)}
    phi = (of("ttft_s", False) - of("ttft_s", True)) / (tokens[False] - tokens[True])
    return EngineRates(phi=phi, delta=of("tpot_s", is_cached), o=(of("ttft_s", True) - phi * tokens[True]) / 2.0)


def _arm_figures(
    rows: Sequence[Row], arm: str, rates: EngineRates, work: EngineWork, is_cached: bool
) -> dict[str, Any]:
    blocks = sorted({row["block"] for row in rows})
    base = {b: fmean(r["trajectory_s"] for r in rows if (r["block"], r["arm"]) == (b, BASELINE.name)) for b in blocks}
    own = {b: fmean(row["trajectory_s"] for row in rows if (row["block"], row["arm"]) == (b, arm)) for b in blocks}
    saved = block_interval([100.0 * (1.0 - own[block] / base[block]) for block in blocks])
    row = next(row for row in rows if row["arm"] == arm)
    modelled_s = engine_time_s(
        work,
        rates,
        is_prefix_caching=is_cached,
        overlap=float(arm != BASELINE.name),
        drafted=float(arm in ("O1+O2", "all")),
        resident=float(arm in ("O1+O3", "all")),
    )
    return {
        "trajectory_s": fmean(own.values()),
        "modelled_s": modelled_s,
        "time_saved_pct": None if arm == BASELINE.name else [saved.low, saved.mid, saved.high],
        "spliced_turns": row["spliced_turns"],
        "accepted_draft_tokens": row["accepted_draft_tokens"],
        "scheduled_tokens": row["scheduled_tokens"],
        "decode_steps": row["decode_steps"],
    }


def work_of(rows: Sequence[Row], latency_s: float, num_tasks: int) -> EngineWork:
    """Return the work of a mean trajectory without optimisation; its fresh context is what the scheduler computed with
    prefix caching."""
    row = next(row for row in rows if (row["arm"], row["is_prefix_caching"]) == (BASELINE.name, True))
    return EngineWork(
        num_requests=row["num_turns"] / num_tasks,
        num_calls=row["num_calls"] / num_tasks,
        context_tokens=row["prompt_tokens_per_trajectory"],
        fresh_context_tokens=row["context_tokens"] / num_tasks,
        decoded_tokens=row["output_tokens_per_trajectory"],
        call_tokens=row["num_call_tokens"] / num_tasks,
        tool_s=latency_s * row["num_calls"] / num_tasks,
    )


def print_table(found: dict[str, Any], console: Console) -> None:
    """Print measured and modelled seconds of every arm."""
    table = Table(title="Seconds of a trajectory, replayed, tools of 0.5 G, oracle posts")
    for name in (
        "prefix caching",
        "arm",
        "measured (s)",
        "modelled (s)",
        "time saved (%)",
        "spliced",
        "accepted drafts",
    ):
        table.add_column(name, justify="left" if name == "arm" else "right")
    for caching in ("on", "off"):
        for arm, row in found[f"prefix_caching_{caching}"].items():
            saved = row["time_saved_pct"]
            interval = "-" if saved is None else f"{saved[1]:.1f}"
            if saved is not None and saved[0] is not None:
                interval += f" [{saved[0]:.1f}, {saved[2]:.1f}]"
            numbers = (f"{row['trajectory_s']:.2f}", f"{row['modelled_s']:.2f}", interval)
            table.add_row(caching, arm, *numbers, f"{row['spliced_turns']:.0f}", f"{row['accepted_draft_tokens']:.0f}")
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m harness.engine_checks.ablation", description=__doc__)
    parser.add_argument("--agents", type=int, default=8, help="agents at once (default 8)")
    parser.add_argument("--blocks", type=int, default=3, help="repeats of every arm (default 3)")
    args = parser.parse_args()
    console = Console(stderr=True, width=130)
    kept = KeptRows("ablation")
    try:
        result = asyncio.run(measure(args.agents, args.blocks, kept, console))
    except KeyboardInterrupt:
        console.print(f"Interrupted; {len(kept)} finished blocks are kept, and the same command goes on from there.")
        sys.exit(130)
    except PrecallError as error:
        console.print(f"[red]{error}[/red]")
        sys.exit(1)
    rows = result.pop("rows")
    print_table(result, console)
    write_bench("ablation", result, SEED, rows=rows)
    kept.drop()


if __name__ == "__main__":
    main()
