"""The tables of `make pocket-eval`, for people; the last line of stdout has the same numbers and more."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table

Cells = Callable[[Mapping[str, Any]], Mapping[str, str]]
"""From the figures of a draft to what the table shows, by number of samples."""


def print_tables(found: Mapping[str, Any], num_samples: Sequence[int], console: Console) -> None:
    """Print accuracy, call acceptance rates and g/G."""
    drafts: Mapping[str, Any] = found["drafts"]
    accuracy = Table(title=f"Right history given, {found['num_tasks']} held-out tasks, greedy (%)")
    for column in ("model", "calls", "answers", "no needless call", "solved live", "faults"):
        accuracy.add_column(column)
    for name, row in {"target": found["target"], **drafts}.items():
        rates = [percent(row[key]) for key in ("call_exact_match", "answer_exact_match", "no_call_match")]
        faults = ", ".join(f"{fault} {num}" for fault, num in row["faults"].items())
        accuracy.add_row(name, *rates, percent(row["solved"]) if "solved" in row else "", faults or "none")
    console.print(accuracy)
    at = f"temperature {found['temperature']:g} above 1"
    console.print(_by_samples(f"Call acceptance rate by samples, {at} (%)", drafts, num_samples, _accepted))
    numbers = next(iter(drafts.values()))["g_over_G"] if drafts else {}
    for num_agents in numbers:
        for place in ("alone", "colocated"):
            title = f"g/G by samples, agents: {num_agents}, {place}"
            ratios = partial(_ratios, num_agents=num_agents, place=place)
            console.print(_by_samples(title, drafts, num_samples, ratios))


def percent(interval: Sequence[float | None]) -> str:
    """Return an interval of shares in per cent."""
    return shown([None if value is None else 100.0 * value for value in interval], 1)


def shown(interval: Sequence[float | None], num_digits: int) -> str:
    """Return an interval as `mid [low, high]`; what was not measured is a dash."""
    low, mid, high = interval
    if mid is None:
        return "-"
    limits = "" if low is None or high is None else f" [{low:.{num_digits}f}, {high:.{num_digits}f}]"
    return f"{mid:.{num_digits}f}{limits}"


def _accepted(row: Mapping[str, Any]) -> dict[str, str]:
    return {num: percent(interval) for num, interval in row["call_acceptance_rate"].items()}


def _ratios(row: Mapping[str, Any], *, num_agents: str, place: str) -> dict[str, str]:
    return {num: shown(interval, 2) for num, interval in row["g_over_G"][num_agents][place].items()}


def _by_samples(title: str, drafts: Mapping[str, Any], num_samples: Sequence[int], cells: Cells) -> Table:
    table = Table(title=title)
    table.add_column("draft")
    for num in num_samples:
        table.add_column(str(num), justify="right")
    for name, row in drafts.items():
        by_samples = cells(row)
        table.add_row(name, *(by_samples[str(num)] for num in num_samples))
    return table
