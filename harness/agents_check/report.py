"""What the check prints: a table by workload and arm, and the totals of its last line."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


def totals(by_workload: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the figures of the last line: sums over workloads, and each workload's own."""
    names = ("tasks", "solved", "workspaces", "workspaces_identical")
    sums = {name: sum(figures[name] for figures in by_workload.values()) for name in names}
    return {"target": "agents-check", **sums, "by_workload": dict(by_workload)}


def print_table(by_workload: Mapping[str, Mapping[str, Any]], console: Console) -> None:
    """Print, per workload and arm, what speculation might run, what it saved and what it wasted."""
    table = Table(title="Our own tasks, replayed, with real tools")
    for name in ("workload", "arm", "solved", "speculable", "alpha", "time saved %", "noise floor %", "wasted tool s"):
        table.add_column(name, justify="left" if name in ("workload", "arm") else "right", no_wrap=True)
    for workload, figures in by_workload.items():
        for arm, saved in figures["time_saved_pct"].items():
            table.add_row(
                workload,
                arm,
                f"{figures['solved']} of {figures['tasks']}",
                _share(figures["speculable_share"][arm]),
                _share(figures["call_acceptance_rate"][arm]),
                _interval(saved),
                _number(figures["noise_floor_pct"]),
                f"{figures['wasted_tool_s'][arm]:.1f} of {_number(figures['tool_s'])}",
            )
    console.print(table)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _interval(values: Sequence[float | None]) -> str:
    low, mid, high = values
    if mid is None:
        return "-"
    return f"{mid:.1f}" + ("" if low is None else f" [{low:.1f}, {high:.1f}]")
