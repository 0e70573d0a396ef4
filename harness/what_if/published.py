"""`python -m harness.what_if.published`: how well a baseline predicts the speculative arm, in the published cells.

Three predictions of a cell's time saved, none of which looks at how long the speculative arm took. From the first
baseline: G and G_f of the same block without tool latency, and T as configured, so that one baseline predicts all
latencies. From its own baseline: G, G_f and T of the same block at the same latency. Turn by turn: what the run itself
kept, from G of every turn of its own baseline and T as drawn. All take g from the draft and alpha from the recording,
known beforehand (of the colocated draft the table has g beside the target alone). Prints the Markdown that stands in
docs/cost-model.md; --write puts it there.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from harness.metrics.evidence import PlainTurn, TaskEvidence
from harness.metrics.statistics import block_interval
from harness.provenance import ROOT
from harness.tables import CELLS
from harness.what_if.evidence import block_evidence
from harness.what_if.predict import base_task_s, speculative_task_s

EXPERIMENTS = ("fig1", "wrong_draft")
NUM_CALLS = 1
"""Calls of a task in these experiments (BFCL's single-turn tasks)."""
DOC = ROOT / "docs" / "cost-model.md"
PREDICTIONS = ("first baseline", "own baseline", "turn by turn")
BEGIN, END = "<!-- published: begin -->\n", "<!-- published: end -->\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell: what it is, the measured time saved, its noise, and the predictions by their names (None: not to be
    had), in percent."""

    setting: tuple[str, float, str]
    measured_pct: float
    noise_pct: float
    predicted_pct: dict[str, float | None]


def cells(folder: Path) -> list[Cell]:
    """Return the cells of the published runs in `folder`."""
    found = []
    for experiment in EXPERIMENTS:
        frame: Any = pd.read_parquet(folder / experiment / CELLS)
        first = {row["block"]: row for row in frame.to_dict("records") if row["latency_mean_g"] == 0.0}
        found += [_cell(row, first.get(row["block"])) for row in frame.to_dict("records")]
    return found


def _cell(row: Mapping[str, Any], first: Mapping[str, Any] | None) -> Cell:
    own = block_evidence(row, NUM_CALLS)
    alpha, g = row["trajectory_alpha"], row["draft_s"]
    without = None
    if first is not None:
        turn = PlainTurn(generation_s=first["generation_s_base"], tool_s=(row["latency_mean_s"],), is_eligible=(True,))
        without = TaskEvidence(turns=[turn] * NUM_CALLS + [PlainTurn(generation_s=first["answer_s_base"])])
    predicted = (None if without is None else _saved_pct(without, alpha, g), _saved_pct(own, alpha, g))
    return Cell(
        setting=(row["experiment"], row["latency_mean_g"], row["draft_place"]),
        measured_pct=row["time_saved_pct"],
        noise_pct=row["noise_pct"],
        predicted_pct=dict(zip(PREDICTIONS, (*predicted, row["predicted_time_saved_pct"]), strict=True)),
    )


def _saved_pct(task: TaskEvidence, alpha: float, g: float) -> float:
    return 100.0 * (1.0 - float(speculative_task_s([task], alpha, g)[0] / base_task_s([task])[0]))


def markdown(found: Sequence[Cell]) -> str:
    """Return a table of the settings with the residuals (measured less predicted), and a line on single cells."""
    columns = ["experiment", "T/G", "draft", "measured"]
    columns += [column for name in PREDICTIONS for column in (name, "residual")]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for setting in dict.fromkeys(cell.setting for cell in found):
        of_it = [cell for cell in found if cell.setting == setting]
        experiment, latency, place = setting
        texts = [experiment, f"{latency:g}", place, _interval([cell.measured_pct for cell in of_it])]
        texts += [text for name in PREDICTIONS for text in _prediction(of_it, name)]
        lines.append(f"| {' | '.join(texts)} |")
    of_cells = []
    for name in PREDICTIONS:
        residuals = _residuals(found, name)
        of_cells.append(
            f"{name} {_rms(residuals):.1f} points ({fmean(residuals):+.1f} on average, {len(residuals)} cells)"
        )
    noise_pct = _rms([cell.noise_pct for cell in found])
    lines += [
        "",
        f"Residuals of single cells, rms: {'; '.join(of_cells)}. Two baseline runs of one cell: {noise_pct:.1f}.",
    ]
    return "\n".join(lines) + "\n"


def _residuals(found: Sequence[Cell], name: str) -> list[float]:
    pairs = [(cell.measured_pct, cell.predicted_pct[name]) for cell in found]
    return [measured - predicted for measured, predicted in pairs if predicted is not None]


def _prediction(found: Sequence[Cell], name: str) -> tuple[str, str]:
    predicted = [value for cell in found if (value := cell.predicted_pct[name]) is not None]
    if not predicted:
        return "-", "-"
    return f"{fmean(predicted):.1f}", _interval(_residuals(found, name), "+")


def _interval(values: Sequence[float], sign: str = "") -> str:
    found = block_interval(values)
    return f"{found.mid:{sign}.1f} [{found.low:{sign}.1f}, {found.high:{sign}.1f}]"


def _rms(values: Sequence[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def main() -> None:
    parser = argparse.ArgumentParser(description="Predicted and measured time saved in the published cells.")
    parser.add_argument("--write", action="store_true", help="put the table into docs/cost-model.md")
    text = markdown(cells(ROOT / "results" / "published" / "local"))
    if parser.parse_args().write:
        before, rest = DOC.read_text(encoding="utf-8").split(BEGIN)
        DOC.write_text(before + BEGIN + text + END + rest.split(END)[1], encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
