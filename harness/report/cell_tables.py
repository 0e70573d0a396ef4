"""The cells of all experiments, own and published, and their settings (means over blocks, with intervals)."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from harness.report.data_tables import Column, Row, Table, frame_rows, table
from harness.report.links import Link, folders_of_cells, link, whose
from harness.tables import CELLS, summarise
from precall.errors import ConfigError

_WHICH = (
    Column(key="records", label="records", is_choice=True),
    Column(key="folder", label="folder", is_choice=True),
    Column(key="origin", label="origin", is_choice=True),
    Column(key="speculation", label="speculation", is_choice=True),
    Column(key="draft", label="draft", is_choice=True),
    Column(key="draft_place", label="place", is_choice=True),
    Column(key="num_samples", label="samples", kind="number"),
    Column(key="latency_mean_g", label="T/G", kind="number", digits=2),
    Column(key="latency_mean_s", label="T (s)", kind="number", digits=2),
)

SETTING_COLUMNS = (
    *_WHICH,
    Column(key="time_saved_pct", label="time saved (%)", kind="interval", digits=1),
    Column(key="noise_floor_pct", label="noise floor (%)", kind="number", digits=1),
    Column(key="predicted_time_saved_pct", label="predicted (%)", kind="number", digits=1),
    Column(key="call_acceptance_rate", label="alpha", kind="number", digits=2),
    Column(key="residual_pct", label="residual (%)", kind="number", digits=1),
    Column(key="residual_of_load_pct", label="of load (%)", kind="number", digits=1),
    Column(key="throughput_base_tok_per_s", label="base (tokens/s)", kind="number"),
    Column(key="throughput_spec_tok_per_s", label="spec (tokens/s)", kind="number"),
    Column(key="throughput_ratio", label="spec / base", kind="interval", digits=3),
    Column(key="num_blocks", label="blocks", kind="number"),
    Column(key="num_agents", label="agents", kind="number"),
    Column(key="eligible_share", label="eligible share", kind="number", digits=2),
    Column(key="generation_s_base", label="G, base (s)", kind="number", digits=3),
    Column(key="generation_s_spec", label="G, spec (s)", kind="number", digits=3),
    Column(key="draft_s", label="g (s)", kind="number", digits=3),
)

_CELL_COLUMNS = (
    *_WHICH,
    Column(key="block", label="block", kind="number"),
    Column(key="cell", label="cell", kind="link"),
    Column(key="timeline", label="timeline", kind="link"),
    Column(key="throughput_base_tok_per_s", label="base (tokens/s)", kind="number"),
    Column(key="throughput_spec_tok_per_s", label="spec (tokens/s)", kind="number"),
    Column(key="num_agents", label="agents", kind="number"),
    Column(key="time_saved_pct", label="time saved (%)", kind="number", digits=1),
    Column(key="predicted_time_saved_pct", label="predicted (%)", kind="number", digits=1),
    Column(key="noise_pct", label="base against base (%)", kind="number", digits=1),
    Column(key="call_acceptance_rate", label="alpha", kind="number", digits=2),
    Column(key="num_confirmed", label="confirmed calls", kind="number", digits=1),
    Column(key="num_ready_hits", label="ready hits", kind="number", digits=1),
    Column(key="num_pending_hits", label="pending hits", kind="number", digits=1),
    Column(key="num_misses", label="misses", kind="number", digits=1),
    Column(key="num_launched", label="launched", kind="number", digits=1),
    Column(key="num_used", label="used", kind="number", digits=1),
    Column(key="num_wasted", label="wasted", kind="number", digits=1),
    Column(key="num_cancelled", label="cancelled", kind="number", digits=1),
    Column(key="num_failed", label="failed", kind="number", digits=1),
    Column(key="saved_tool_s", label="tool time saved (s)", kind="number", digits=2),
    Column(key="wasted_tool_s", label="wasted (s)", kind="number", digits=2),
)
_SHOWN = {column.key for column in _CELL_COLUMNS} | {"cell_id"}


def read_cells(results: Path) -> dict[str, pd.DataFrame]:
    """Return the cells by folder, from results/ on. Raises ConfigError for a table that cannot be read."""
    return {folder.relative_to(results).as_posix(): _read(folder / CELLS) for folder in folders_of_cells(results)}


def _read(file: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(file)
    except (OSError, ValueError) as error:  # pyarrow's errors are among these
        what = f"{file.parent.name}/{file.name} cannot be read: {error}"
        raise ConfigError(f"{what}. Remove it; the experiment's command writes it again from its cells.") from error


def settings_table(cells: Mapping[str, pd.DataFrame], results: Path) -> Table:
    """Return a row per setting."""
    rows = [
        {**record, "folder": folder, "records": whose(results / folder, results)}
        for folder, frame in cells.items()
        for record in summarise(frame)
    ]
    return table(SETTING_COLUMNS, rows)


def cells_table(cells: Mapping[str, pd.DataFrame], results: Path, with_timeline: Collection[str]) -> Table:
    """Return a row per cell; `with_timeline` are the run folders, from results/ on, whose trajectories are on the
    page."""
    others = dict.fromkeys(name for frame in cells.values() for name in frame.columns if name not in _SHOWN)
    columns = [*_CELL_COLUMNS, *(_other(name, list(cells.values())) for name in others)]
    rows = [_cell(row, folder, results, with_timeline) for folder, frame in cells.items() for row in frame_rows(frame)]
    return table(columns, rows)


def _cell(row: Row, folder: str, results: Path, with_timeline: Collection[str]) -> Row:
    run = f"{folder}/{row['cell_id']}"
    shown = Link(text="timeline", href=f"#timeline={run}") if run in with_timeline else None
    return {
        **row,
        "folder": folder,
        "records": whose(results / folder, results),
        "cell": link(results / run, results, text=row["cell_id"]),
        "timeline": shown,
    }


def _other(name: str, frames: Sequence[pd.DataFrame]) -> Column:
    is_number = all(pd.api.types.is_numeric_dtype(frame[name].dropna()) for frame in frames if name in frame)
    return Column(key=name, label=name, kind="number" if is_number else "text", digits=None, is_main=False)
