"""The figures of the check: what speculation may run, what it saves and what it wastes, per workload."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from harness.agents_check.rounds import Run
from harness.agents_check.verdict import Verdict
from harness.agents_check.workloads import BASELINE, SPECULATIVE, Workload
from harness.metrics.comparison import agent_times_s, mean_per_agent, time_saved_pct
from harness.metrics.statistics import block_interval, enclosed_noise_floor
from precall.events import EventKind
from precall.ledger import Ledger


def workload_figures(workload: Workload, runs: Sequence[Run], verdict: Verdict) -> dict[str, Any]:
    """Return the figures of one workload. Times come from runs with the recorded observations, and from rounds that are
    whole; shares and seconds of tools from the same runs."""
    timed = [run for run in runs if not run.is_bare and run.failure is None]
    blocks = [block for block in sorted({run.block for run in timed}) if _is_whole(block, runs)]
    baseline = [run for run in timed if run.arm == BASELINE]
    by_arm = {arm.name: [run for run in timed if run.arm == arm] for arm in SPECULATIVE}
    by_arm = {name: found for name, found in by_arm.items() if found}
    ledgers = {name: [Ledger.from_events(run.events) for run in found] for name, found in by_arm.items()}
    saved = {name: [_saved_pct(workload, timed, block, name) for block in blocks] for name in by_arm}
    return {
        "tasks": verdict.num_tasks,
        "solved": verdict.num_solved,
        "workspaces": verdict.num_workspaces,
        "workspaces_identical": verdict.num_workspaces_identical,
        "resident_prompts": verdict.num_resident_prompts,
        "resident_prompts_equal": verdict.num_equal_resident_prompts,
        "calls": Ledger.from_events(baseline[0].events).num_confirmed if baseline else None,
        "tool_s": _tool_s(baseline),
        "speculable_share": {
            name: _share([(e.num_eligible, e.num_confirmed) for e in of]) for name, of in ledgers.items()
        },
        "call_acceptance_rate": {
            name: _share([(e.num_matched, e.num_confirmed) for e in of]) for name, of in ledgers.items()
        },
        "calls_executed_by_engine": {
            name: fmean(each.num_executed for each in of)
            for name, of in ledgers.items()
            if by_arm[name][0].arm.is_resident
        },
        "time_saved_pct": {name: _triple(values) for name, values in saved.items()},
        "noise_floor_pct": noise_floor_pct([_noise_share(workload, timed, block) for block in blocks]),
        "wasted_tool_s": {name: fmean(each.wasted_tool_s for each in of) for name, of in ledgers.items()},
    }


def noise_floor_pct(shares: Sequence[float]) -> float | None:
    """Return the noise floor of the time saved in percent; `shares` holds, per block, the difference of its two
    baselines over their sum."""
    floor = enclosed_noise_floor(shares, len(shares))
    return None if floor is None else 100.0 * floor


def _share(counts: Sequence[tuple[int, int]]) -> float | None:
    total = sum(of for _, of in counts)
    return sum(num for num, _ in counts) / total if total else None


def _is_whole(block: int, runs: Sequence[Run]) -> bool:
    return all(run.failure is None for run in runs if run.block == block and not run.is_bare)


def _times(workload: Workload, runs: Sequence[Run], block: int, arm: str) -> list[list[float]]:
    found = [run for run in runs if run.block == block and run.arm.name == arm]
    return [agent_times_s(run.events, workload.agents) for run in found]


def _saved_pct(workload: Workload, runs: Sequence[Run], block: int, arm: str) -> float:
    base_s = mean_per_agent(_times(workload, runs, block, BASELINE.name))
    return time_saved_pct(base_s, mean_per_agent(_times(workload, runs, block, arm)))


def _noise_share(workload: Workload, runs: Sequence[Run], block: int) -> float:
    first, last = (sum(times) for times in _times(workload, runs, block, BASELINE.name))
    return (first - last) / (first + last)


def _tool_s(runs: Sequence[Run]) -> float | None:
    """Return the seconds that the tools of one run took, None without a whole run."""
    if not runs:
        return None
    return sum(
        event.data["duration_s"] or 0.0 for run in runs for event in run.events if event.kind is EventKind.CALL_SETTLED
    ) / len(runs)


def _triple(values: Sequence[float]) -> list[float | None]:
    interval = block_interval(values)
    return [interval.low, interval.mid, interval.high]
