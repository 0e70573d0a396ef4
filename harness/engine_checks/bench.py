"""`python -m harness.engine_checks.bench`: what residency and drafts bring on the engine, at 1 to 32 agents.

All arms replay the same trajectories (harness/engine_checks/workload.py) on servers that are up together, one after the
other in blocks. In a block the baseline, separate chat requests on a stock server, runs first and last: an arm's figure
is its ratio to the mean of the two, and the two against each other give the noise floor. The last line on stdout is one
JSON object, kept in results/bench/engine.json with every run.
"""

import argparse
import asyncio
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from harness.backends.metrics_endpoint import CONTEXT_TOKENS
from harness.backends.vllm_server import VllmServer
from harness.bench import write_bench
from harness.engine_checks.bench_arms import BenchArm, ServerName, bench_participants, server_settings
from harness.engine_checks.workload import Workload, make_workload
from harness.metrics.arm import arm_metrics
from harness.metrics.statistics import block_interval, t_quantile
from harness.provenance import ROOT
from harness.runner import ArmRun, run_arm
from precall.errors import PrecallError
from precall.events import Event, EventKind

BASELINE = BenchArm(name="separate", server="stock", asks="chat")
ARMS = (
    BenchArm(name="separate_exact", server="stock", asks="exact"),
    BenchArm(name="o3", server="o3", asks="opted_in"),
    BenchArm(name="o3_o2", server="o3_o2", asks="opted_in"),
    BenchArm(name="stock_sync", server="sync", asks="chat"),
    BenchArm(name="idle_proposer", server="o3_o2", asks="chat"),
)
SERVERS: tuple[ServerName, ...] = ("stock", "sync", "o3", "o3_o2")
AGENTS = (1, 8, 16, 32)
BLOCK_SIZES = (32, 128)
NUM_USER_TURNS = 2
KV_CACHE_GIB = 2
SEED = 0
MAX_TURNS = 20
LOGS = ROOT / "results" / "runs" / "engine-bench"

Row = dict[str, Any]


async def run_once(
    arm: BenchArm, workload: Workload, server: VllmServer, *, num_agents: int, salt: str, latency_s: float = 0.0
) -> Row:
    """Run an arm once and return its metrics."""
    run = ArmRun(arm=arm.name)
    async with bench_participants(arm, workload, server, salt=salt, latency_s=latency_s) as make:
        await run_arm(
            run,
            tasks=workload.tasks,
            num_agents=num_agents,
            max_turns=MAX_TURNS,
            make_participants=make,
            servers=[server],
            on_trajectory=lambda _: None,
        )
    trajectory_s = [each.finished_s - each.started_s for agent in run.trajectories for each in agent]
    metrics = arm_metrics(run.events, wall_s=run.wall_s, counters=run.counters, cpu_s=run.cpu_s)
    spliced = run.counters.get("precall_spliced_turns_total", 0.0)
    accepted = run.counters.get("precall_accepted_draft_tokens_total", 0.0)
    drafted = run.counters.get("precall_drafted_tokens_total", 0.0)
    counts = {"spliced_turns": spliced, "accepted_draft_tokens": accepted, "drafted_tokens": drafted}
    counts |= {"context_tokens": run.counters.get(CONTEXT_TOKENS, 0.0)}
    counts |= {"trajectory_s": fmean(trajectory_s), **sizes(run.events)}
    return {"arm": arm.name, "num_agents": num_agents, **workload.counts(server.settings.model), **metrics, **counts}


def sizes(events: Sequence[Event]) -> dict[str, float]:
    """Return per trajectory the means of what the engine's cost model counts: tokens of all prompts, of all outputs."""
    turns = [event.data for event in events if event.kind is EventKind.GENERATION_FINISHED]
    num = sum(event.kind is EventKind.TRAJECTORY_FINISHED for event in events)
    return {
        "prompt_tokens_per_trajectory": sum(turn["num_prompt_tokens"] for turn in turns) / num,
        "output_tokens_per_trajectory": sum(turn["num_output_tokens"] for turn in turns) / num,
    }


async def run_block(
    arms: Sequence[BenchArm],
    workload: Workload,
    servers: Mapping[ServerName, VllmServer],
    *,
    num_agents: int,
    block: int,
    salt: str,
    latency_s: float = 0.0,
    on_run: Callable[[], None] = lambda: None,
) -> list[Row]:
    """Run the baseline, every arm, in odd blocks in the reverse order, and the baseline again."""
    rows = []
    ordered = [BASELINE, *(arms if block % 2 == 0 else reversed(arms)), BASELINE]
    for position, arm in enumerate(ordered):
        row = await run_once(
            arm,
            workload,
            servers[arm.server],
            num_agents=num_agents,
            salt=f"{salt}/{num_agents}/{block}/{position}",
            latency_s=latency_s,
        )
        rows.append({"block": block, "position": position, **row})
        on_run()
    return rows


def ratios(rows: Sequence[Row], arm: str, metric: str) -> list[float]:
    """Return an arm's metric over the mean of the block's two baselines, one per block."""
    found = []
    for block in sorted({row["block"] for row in rows}):
        of_block = [row for row in rows if row["block"] == block]
        baseline = [row[metric] for row in of_block if row["arm"] == BASELINE.name]
        (value,) = [row[metric] for row in of_block if row["arm"] == arm]
        found.append(value / (sum(baseline) / len(baseline)))
    return found


def noise_floor(rows: Sequence[Row]) -> float | None:
    """Return the half-width of the 95 % interval that the ratio of equal arms would have, None below two blocks.

    From the two baselines of every block, whose true difference is 0: one over the mean of both has half the variance
    of one run, an arm over that mean one and a half. Blocks at several numbers of agents are pooled.
    """
    shares: list[float] = []
    for num_agents, block in sorted({(row["num_agents"], row["block"]) for row in rows}):
        of_block = [row for row in rows if (row["num_agents"], row["block"]) == (num_agents, block)]
        first, last = [row["throughput_tok_per_s"] for row in of_block if row["arm"] == BASELINE.name]
        shares.append((first - last) / (first + last))
    num_blocks = len({row["block"] for row in rows})
    if num_blocks < 2:
        return None
    spread = math.sqrt(3.0 * sum(share**2 for share in shares) / len(shares))
    return t_quantile(0.975, len(shares)) * spread / math.sqrt(num_blocks)


def triple(values: Sequence[float]) -> list[float | None]:
    interval = block_interval(values)
    return [interval.low, interval.mid, interval.high]


def figures(rows: Sequence[Row], agents: Sequence[int]) -> dict[str, Any]:
    """Return the figures of one block size, all of them ratios to separate requests on a stock server."""
    by_agents = {num: [row for row in rows if row["num_agents"] == num] for num in agents}

    def of(metric: str, names: Sequence[str]) -> dict[str, dict[str, list[float | None]]]:
        return {
            str(num): {name: triple(ratios(found, name, metric)) for name in names} for num, found in by_agents.items()
        }

    arms = ("o3", "o3_o2", "separate_exact")
    (idle,) = {"idle_proposer"}
    return {
        "tokens_per_s_ratio": of("throughput_tok_per_s", (*arms, "stock_sync")),
        "noise_floor": noise_floor(rows),
        "noise_floor_by_agents": {str(num): noise_floor(found) for num, found in by_agents.items()},
        "scheduled_tokens_ratio": of("scheduled_tokens", arms),
        "decode_steps_ratio": of("decode_steps", arms),
        "cpu_s_ratio": of("cpu_s", arms),
        "decode_steps_per_hit_call": decode_steps_per_call(by_agents.get(1, [])),
        "idle_proposer_ratio": {num: of_arm[idle] for num, of_arm in of("throughput_tok_per_s", (idle,)).items()},
    }


def decode_steps_per_call(rows: Sequence[Row]) -> dict[str, float] | None:
    """Return, for one agent, a call's mean tokens from its opener to the end of the turn, and the steps these took.

    One agent has a step for every token that is not drafted, and both arms with residency else take the same steps: the
    difference of their steps is what drafts saved.
    """
    steps = {arm: [row["engine_steps"] for row in rows if row["arm"] == arm] for arm in ("o3", "o3_o2")}
    if not rows:
        return None
    num_calls = rows[0]["num_calls"]
    num_tokens = rows[0]["num_call_tokens"] / num_calls
    saved = (sum(steps["o3"]) - sum(steps["o3_o2"])) / len(steps["o3"]) / num_calls
    return {"tokens": num_tokens, "steps": num_tokens - saved, "share": (num_tokens - saved) / num_tokens}


async def measure(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Run every block and return the figures by block size, with all rows."""
    result: dict[str, Any] = {"rows": []}
    num_runs = len(args.block_sizes) * args.blocks * len(args.agents) * (len(ARMS) + 2)
    workloads = {num: await make_workload(max(num, 2), NUM_USER_TURNS, SEED) for num in args.agents}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("runs", total=num_runs)
        for block_size in args.block_sizes:
            settings = server_settings(block_size=block_size, is_prefix_caching=True, kv_cache_gib=KV_CACHE_GIB)
            async with AsyncExitStack() as stack:
                servers: dict[ServerName, VllmServer] = {}
                for name in SERVERS:
                    progress.update(bar, description=f"KV blocks of {block_size}: starting {name}")
                    server = VllmServer(settings[name], log_folder=LOGS / str(block_size))
                    servers[name] = await stack.enter_async_context(server)
                rows: list[Row] = []
                await run_block(
                    ARMS, workloads[args.agents[0]], servers, num_agents=args.agents[0], block=0, salt="warm"
                )
                for block in range(args.blocks):
                    for num_agents in args.agents:
                        progress.update(bar, description=f"KV blocks of {block_size}, {num_agents} agents")
                        found = await run_block(
                            ARMS,
                            workloads[num_agents],
                            servers,
                            num_agents=num_agents,
                            block=block,
                            salt=f"{block_size}",
                            on_run=lambda: progress.advance(bar),
                        )
                        rows += [{"block_size": block_size, **row} for row in found]
                        done = f"KV blocks of {block_size}, {num_agents} agents: block {block + 1} of {args.blocks}"
                        console.print(f"{done}, {progress.tasks[0].completed:.0f} of {num_runs} runs")
            result["rows"] += rows
            result[str(block_size)] = figures(rows, args.agents)
            print_table(result[str(block_size)], block_size, console)
    return result


def print_table(found: dict[str, Any], block_size: int, console: Console) -> None:
    """Print tokens per second of every arm against separate requests."""
    table = Table(title=f"Against separate requests on a stock server, KV blocks of {block_size} tokens, replayed")
    for name in ("agents", "arm", "tokens/s", "scheduled tokens", "decode steps", "CPU-s", "noise floor"):
        table.add_column(name, justify="left" if name == "arm" else "right", no_wrap=True)
    for num, arms in found["tokens_per_s_ratio"].items():
        floor = found["noise_floor_by_agents"][num]
        for arm, ratio in {**arms, "idle_proposer": found["idle_proposer_ratio"][num]}.items():
            others = [
                found[metric][num].get(arm)
                for metric in ("scheduled_tokens_ratio", "decode_steps_ratio", "cpu_s_ratio")
            ]
            table.add_row(
                num, arm, _text(ratio), *(_text(other) for other in others), "-" if floor is None else f"{floor:.3f}"
            )
    console.print(table)


def _text(ratio: Sequence[float | None] | None) -> str:
    if ratio is None:
        return "-"
    low, mid, high = ratio
    return f"{mid:.3f}" + ("" if low is None else f" [{low:.3f}, {high:.3f}]")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m harness.engine_checks.bench", description=__doc__)
    parser.add_argument("--blocks", type=int, default=3, help="repeats of every arm (default 3)")
    parser.add_argument("--agents", type=int, nargs="+", default=AGENTS, help="numbers of agents (default 1 8 16 32)")
    parser.add_argument("--block-sizes", type=int, nargs="+", default=BLOCK_SIZES, help="KV blocks (default 32 128)")
    args = parser.parse_args()
    console = Console(stderr=True, width=170)
    try:
        result = asyncio.run(measure(args, console))
    except KeyboardInterrupt:
        console.print("Interrupted; nothing was kept.")
        sys.exit(130)
    except PrecallError as error:
        console.print(f"[red]{error}[/red]")
        sys.exit(1)
    first, *others = args.block_sizes
    rows = result.pop("rows")
    shown = {"kv_block_tokens": first, **result[str(first)]}
    shown |= {f"kv_block_{size}": result[str(size)] for size in others}
    write_bench("engine", shown, SEED, rows=rows)


if __name__ == "__main__":
    main()
