"""The table that ends a run: one line per setting."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

TEXTS = ("experiment", "origin", "speculation", "draft", "place")
COLUMNS = (
    *TEXTS,
    "samples",
    "T/G",
    "T (s)",
    "tok/s: base",
    "spec",
    "time saved (%)",
    "predicted",
    "residual",
    "of load",
    "noise floor",
    "alpha",
    "eligible",
)
MIN_WIDTH = 210
MAX_ROWS = 200
"""More lines nobody reads, and drawing them takes longer than all the rest."""


def print_closing_table(records: Sequence[dict[str, Any]], console: Console) -> None:
    """Print one line per record of `tables.summarise`, at most `MAX_ROWS`, wide enough that no column wraps."""
    agents = ", ".join(sorted({str(record["num_agents"]) for record in records}))
    table = Table(
        title=f"Speculation against the baseline: {agents} agents",
        caption="Intervals: 95 %, over blocks. Noise floor: half-width of that interval, baseline against baseline. "
        "Residual: saved less predicted; of load: the part explained by other generation times beside speculation.",
    )
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in TEXTS else "right", no_wrap=True)
    for record in records[:MAX_ROWS]:
        table.add_row(*_cells(record))
    wide = Console(file=console.file, width=max(console.width, MIN_WIDTH))
    wide.print(table)
    if len(records) > MAX_ROWS:
        wide.print(f"and {len(records) - MAX_ROWS} more settings: cells.parquet has all")


def _cells(record: dict[str, Any]) -> list[str]:
    low, mid, high = record["time_saved_pct"]
    return [
        record["experiment"],
        record["origin"],
        record["speculation"] + (", adaptive" if record["is_adaptive"] else ""),
        record["draft"],
        record["draft_place"],
        str(record["num_samples"]),
        _text(record["latency_mean_g"], ".2f"),
        _text(record["latency_mean_s"], ".2f"),
        _text(record["throughput_base_tok_per_s"], ".0f"),
        _text(record["throughput_spec_tok_per_s"], ".0f"),
        f"{mid:.1f}" + ("" if low is None else f" [{low:.1f}, {high:.1f}]"),
        _text(record["predicted_time_saved_pct"], ".1f"),
        _text(record["residual_pct"], "+.1f"),
        _text(record["residual_of_load_pct"], "+.1f"),
        _text(record["noise_floor_pct"], ".1f"),
        _text(record["call_acceptance_rate"], ".2f"),
        _text(record["eligible_share"], ".2f"),
    ]


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
