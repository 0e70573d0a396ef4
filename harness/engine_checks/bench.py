"""`python -m harness.engine_checks.bench`: what residency and drafts bring on the engine, at 1 to 32 agents.

All arms replay the same trajectories (harness/engine_checks/workload.py) on servers that are up together, one after the
other in blocks. In a block the baseline, separate chat requests on a stock server, runs first and last: an arm's figure
is its ratio to the mean of the two, and the two against each other give the noise floor. Finished blocks are kept, and
after an interruption the same command goes on. The last line on stdout is one JSON object, kept in
results/bench/engine.json with every run.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from harness.backends.metrics_endpoint import CONTEXT_TOKENS
from harness.backends.vllm_server import VllmServer
from harness.bench import write_bench
from harness.engine_checks.bench_arms import (
    ARMS,
    BASELINE,
    RESIDENT_ARMS,
    BenchArm,
    ServerName,
    bench_participants,
    server_settings,
)
from harness.engine_checks.bench_figures import figures, print_table
from harness.engine_checks.kept_rows import KeptRows, Row
from harness.engine_checks.workload import Workload, make_workload
from harness.metrics.arm import arm_metrics
from harness.provenance import ROOT
from harness.runner import ArmRun, run_arm
from precall.errors import PrecallError
from precall.events import Event, EventKind

AGENTS = (1, 8, 16, 32)
NUM_USER_TURNS = 2
KV_CACHE_GIB = 2
SEED = 0
MAX_TURNS = 20
LOGS = ROOT / "results" / "runs" / "engine-bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Tokens of a KV block, the mean number of words of reasoning before each call and answer, and the arms that are
    held against separate requests."""

    block_size: int
    reasoning_words: float
    arms: tuple[BenchArm, ...]

    def __str__(self) -> str:
        reasoning = f"{self.reasoning_words:.0f} words of reasoning" if self.reasoning_words else "no reasoning"
        return f"KV blocks of {self.block_size} tokens, {reasoning}"


SETTINGS = {
    "kv_block_32": Setting(block_size=32, reasoning_words=60.0, arms=ARMS),
    "kv_block_128": Setting(block_size=128, reasoning_words=60.0, arms=RESIDENT_ARMS),
    "no_reasoning": Setting(block_size=32, reasoning_words=0.0, arms=RESIDENT_ARMS),
}


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
    return rows


async def measure(args: argparse.Namespace, kept: KeptRows, console: Console) -> dict[str, Any]:
    """Run every block that is not kept yet and return the figures by setting, with all rows."""
    result: dict[str, Any] = {"rows": []}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        num_blocks = len(args.settings) * args.blocks * len(args.agents)
        bar = progress.add_task("blocks", total=num_blocks, completed=len(kept))
        for name in args.settings:
            setting = SETTINGS[name]
            keys = [
                {"setting": name, "block": block, "num_agents": num}
                for block in range(args.blocks)
                for num in args.agents
            ]
            missing = [key for key in keys if kept.find(key) is None]
            progress.update(bar, description=f"{setting}: starting servers" if missing else str(setting))
            if missing:
                async with _started(setting) as servers:
                    await _measure_blocks(missing, setting, servers, kept, progress)
            rows = [row for key in keys for row in kept.find(key) or ()]
            result["rows"] += [{"setting": name, **row} for row in rows]
            about = {"block_size": setting.block_size, "reasoning_words": setting.reasoning_words}
            result[name] = {**about, **figures(rows, args.agents)}
            print_table(result[name], str(setting), console)
    return result


@asynccontextmanager
async def _started(setting: Setting) -> AsyncGenerator[Mapping[ServerName, VllmServer], None]:
    settings = server_settings(block_size=setting.block_size, is_prefix_caching=True, kv_cache_gib=KV_CACHE_GIB)
    async with AsyncExitStack() as stack:
        servers: dict[ServerName, VllmServer] = {}
        names: set[ServerName] = {arm.server for arm in (BASELINE, *setting.arms)}
        for name in sorted(names):
            server = VllmServer(settings[name], log_folder=LOGS / str(setting.block_size))
            servers[name] = await stack.enter_async_context(server)
        yield servers


async def _measure_blocks(
    keys: Sequence[Mapping[str, Any]],
    setting: Setting,
    servers: Mapping[ServerName, VllmServer],
    kept: KeptRows,
    progress: Progress,
) -> None:
    warm_up = await make_workload(2, NUM_USER_TURNS, SEED, setting.reasoning_words)
    await run_block(setting.arms, warm_up, servers, num_agents=1, block=0, salt="warm")
    for key in keys:
        num_agents, block = key["num_agents"], key["block"]
        progress.update(TaskID(0), description=f"{setting}, {num_agents} agents, block {block + 1}")
        workload = await make_workload(max(num_agents, 2), NUM_USER_TURNS, SEED, setting.reasoning_words)
        kept.add(
            key, await run_block(setting.arms, workload, servers, num_agents=num_agents, block=block, salt="bench")
        )
        progress.advance(TaskID(0))
        progress.console.print(f"{setting}, {num_agents} agents, block {block + 1}: measured")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m harness.engine_checks.bench", description=__doc__)
    parser.add_argument("--blocks", type=int, default=3, help="repeats of every arm (default 3)")
    parser.add_argument("--agents", type=int, nargs="+", default=AGENTS, help="numbers of agents (default 1 8 16 32)")
    parser.add_argument(
        "--settings",
        choices=SETTINGS,
        nargs="+",
        default=tuple(SETTINGS),
        help=f"of {', '.join(SETTINGS)} (default all)",
    )
    args = parser.parse_args()
    console = Console(stderr=True, width=170)
    kept = KeptRows("engine")
    try:
        result = asyncio.run(measure(args, kept, console))
    except KeyboardInterrupt:
        console.print(f"Interrupted; {len(kept)} finished blocks are kept, and the same command goes on from there.")
        sys.exit(130)
    except PrecallError as error:
        console.print(f"[red]{error}[/red]")
        sys.exit(1)
    first, *others = args.settings
    rows = result.pop("rows")
    write_bench("engine", {**result[first], **{name: result[name] for name in others}}, SEED, rows=rows)
    kept.drop()


if __name__ == "__main__":
    main()
