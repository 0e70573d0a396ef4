"""The check: servers, calibration of the draft, rounds, verdict."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agents.trajectory import Trajectory
from harness import build
from harness.agents_check.figures import workload_figures
from harness.agents_check.report import print_table, totals
from harness.agents_check.rounds import Run, Servers, run_once, run_round
from harness.agents_check.verdict import verdict_of
from harness.agents_check.workloads import BASELINE, ENGINE, SPECULATIVE, Arm, Workload, make_workload
from harness.calibration import DraftTimes, draft_calibration, draft_times, measure_draft
from harness.latency import Latency, LatencyKind
from harness.metrics.arm import generation_times
from harness.provenance import ROOT
from harness.schema import Config
from harness.servers import ServerPool

LOGS = ROOT / "results" / "runs" / "agents-check"
NO_LATENCY = Latency(kind=LatencyKind.NONE)


async def check(
    configs: Mapping[str, Config], *, num_blocks: int, console: Console
) -> tuple[dict[str, Any], list[str]]:
    """Run the rounds on servers of its own and return the figures, and in words whatever is wrong."""
    first = next(iter(configs.values()))
    with tempfile.TemporaryDirectory(prefix="precall-agents-") as temporary:
        folder = Path(temporary)
        async with ServerPool() as pool:
            drafts = build.draft_servers(draft_calibration(first).config)
            (draft,) = await pool.provide(drafts, LOGS)
            draft_s: dict[str, DraftTimes] = {}
            for name, config in configs.items():
                console.print(f"{name}: measuring the draft alone")
                calibration = draft_calibration(replace(config, output=str(folder / name)))
                await measure_draft(calibration, draft, lambda trajectory: None)
                draft_s[name] = draft_times(calibration)
            workloads = [make_workload(name, config, draft_s[name], folder) for name, config in configs.items()]
            stock, resident = await pool.provide(
                [build.target_server(first), build.speculative_target_server(first)], LOGS
            )
            servers = Servers(stock=stock, resident=resident)
            G_s = await _warm_up(workloads[0], servers)
            return await run_all(
                workloads,
                servers,
                num_blocks=num_blocks,
                arms=SPECULATIVE,
                latency=build.latency_of(first, G_s),
                console=console,
            )


async def run_all(
    workloads: Sequence[Workload],
    servers: Servers,
    *,
    num_blocks: int,
    arms: Sequence[Arm],
    latency: Latency,
    console: Console,
) -> tuple[dict[str, Any], list[str]]:
    """Run `num_blocks` rounds and one without recorded observations on servers that are up."""
    runs: dict[str, list[Run]] = {workload.name: [] for workload in workloads}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        num_trajectories = (num_blocks + 1) * (len(arms) + 2) * sum(len(workload.tasks) for workload in workloads)
        bar = progress.add_task("trajectories", total=num_trajectories)

        def on_trajectory(trajectory: Trajectory) -> None:
            progress.advance(bar)

        for block in range(num_blocks + 1):
            is_bare = block == num_blocks
            for workload in workloads:
                what = "without recorded observations" if is_bare else f"block {block + 1} of {num_blocks}"
                progress.update(bar, description=f"{workload.name}, {what}")
                found = await run_round(
                    workload,
                    servers,
                    arms,
                    block=block,
                    is_bare=is_bare,
                    latency=latency,
                    salt="agents",
                    on_trajectory=on_trajectory,
                )
                runs[workload.name] += found
                task = progress.tasks[0]
                left_s = (task.elapsed or 0.0) * (num_trajectories - task.completed) / max(task.completed, 1)
                console.print(f"{workload.name}, {what}: done, about {left_s / 60:.0f} minutes left")
                for failed in (run for run in found if run.failure is not None):
                    console.print(f"{workload.name}: {failed.name}: {failed.failure}", style="red", markup=False)
    verdicts = {workload.name: verdict_of(workload, runs[workload.name]) for workload in workloads}
    by_workload = {
        workload.name: workload_figures(workload, runs[workload.name], verdicts[workload.name])
        for workload in workloads
    }
    print_table(by_workload, console)
    return totals(by_workload), [fault for verdict in verdicts.values() for fault in verdict.complaints]


async def _warm_up(workload: Workload, servers: Servers) -> float | None:
    """Run a few tasks on both servers, and return the mean time of a generation that ends in a call, in seconds."""
    few = replace(workload, tasks=workload.tasks[: workload.config.agent.num_agents])
    runs = [
        await run_once(
            few,
            arm,
            servers.of(arm),
            block=0,
            position=position,
            is_bare=False,
            latency=NO_LATENCY,
            salt="warm-up",
            on_trajectory=lambda trajectory: None,
        )
        for position, arm in enumerate((ENGINE, BASELINE))
    ]
    return generation_times(runs[-1].events).call_s
