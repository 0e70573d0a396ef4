"""What is copied of results: figures, tables of cells, verdicts and the report, as artifacts of one run beside those of
the cells."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness import provenance
from harness.experiment import Experiment, sweep_id_of
from harness.schema import to_plain
from harness.tables import CELLS
from harness.tracking.wandb_runs import RunSettings, WandbRuns, left_offline, mode_of, run_id_of

SHAPES = (".png", ".pdf", ".md")
"""Of what is drawn."""
UPLOAD_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """Where a copy is, and how many files of each kind are in it. `folder` is that of an offline run, None for one that
    is online; `url` is that of the page, None offline."""

    num_files: dict[str, int]
    folder: Path | None
    url: str | None


def files_of(results: Path, experiments: Sequence[Experiment]) -> dict[str, dict[str, Path]]:
    """Return the files that are there, by kind and by the name that each gets: figures, tables, verdicts, report."""
    drawn = sorted(file for file in (results / "figures").rglob("*") if file.suffix in SHAPES)
    found = {
        "figures": {str(file.relative_to(results / "figures")): file for file in drawn},
        "tables": {f"{each.config.experiment}/{CELLS}": each.folder / CELLS for each in experiments},
        "verdicts": {"claims.json": results / "bench" / "claims.json"},
        "report": {"report.html": results / "report.html"},
    }
    there = {kind: {name: file for name, file in files.items() if file.is_file()} for kind, files in found.items()}
    return {kind: files for kind, files in there.items() if files}


def copy(experiments: Sequence[Experiment], results: Path, runs: WandbRuns) -> Copied | None:
    """Copy what there is of the results of a sweep into its run, which is the same whenever this is done again. Returns
    None where there is nothing, and where W&B fails."""
    files = files_of(results, experiments)
    config, sweep_id = experiments[0].config, sweep_id_of(experiments)
    folder = experiments[0].folder.parent
    run_id = run_id_of(folder, f"results {sweep_id}")
    if not files:
        return None

    # The library copies what is in an artifact, so that a later figure of the same name leaves it as it is.
    copies = (folder / "wandb" / f"artifacts-{run_id}").resolve()
    shutil.rmtree(copies, ignore_errors=True)
    os.environ["WANDB_DATA_DIR"] = str(copies)
    run = runs.open(
        RunSettings(
            mode=mode_of(config),
            project=config.tracker.project,
            group=sweep_id,
            job_type="results",
            name=f"results {sweep_id}",
            run_id=run_id,
            folder=folder,
            config={
                "experiments": {each.config.experiment: to_plain(each.config) for each in experiments},
                "provenance": provenance.collect(config.seed),
            },
            finish_timeout_s=UPLOAD_TIMEOUT_S,
        )
    )

    def log(wandb: Any) -> str | None:
        for kind, of_kind in files.items():
            artifact = wandb.Artifact(f"{sweep_id}-{kind}", type=kind)
            for name, file in of_kind.items():
                artifact.add_file(str(file), name=name, skip_cache=True)
            run.handle.log_artifact(artifact)
        run.handle.log(dict(_shown(wandb, files)))
        run.handle.summary.update(_counts(files))
        return None if run.handle.offline else run.handle.url

    url = runs.attempt(log)
    run.finish(0)
    if runs.has_failed:
        return None
    left = left_offline(folder, run_id) if url is None else []
    return Copied(
        num_files={kind: len(of_kind) for kind, of_kind in files.items()}, folder=left[-1] if left else None, url=url
    )


def _shown(wandb: Any, files: Mapping[str, Mapping[str, Path]]) -> Iterator[tuple[str, Any]]:
    """Yield what the pages of a run show: figures as images, tables and verdicts as tables."""
    for name, file in files.get("figures", {}).items():
        if file.suffix == ".png":
            yield f"figures/{name.removesuffix('.png')}", wandb.Image(str(file))
    for name, file in files.get("tables", {}).items():
        frame = pd.read_parquet(file)
        yield f"cells/{Path(name).parent}", _table(wandb, frame)
    for file in files.get("verdicts", {}).values():
        verdicts = json.loads(file.read_text(encoding="utf-8"))["verdicts"]
        # Interval and tolerance are lists; a table of W&B takes them as text.
        rows = [{k: str(v) if isinstance(v, list | dict) else v for k, v in row.items()} for row in verdicts]
        yield "verdicts", _table(wandb, pd.DataFrame(rows))


def _counts(files: Mapping[str, Mapping[str, Path]]) -> dict[str, Any]:
    """Return how many claims have each verdict."""
    found: dict[str, Any] = {}
    for file in files.get("verdicts", {}).values():
        content = json.loads(file.read_text(encoding="utf-8"))
        found |= {f"verdicts/{key}": value for key, value in content.items() if isinstance(value, int | float)}
    return found


def _table(wandb: Any, frame: pd.DataFrame) -> Any:
    """Return a table in which what was not measured is empty."""
    rows = frame.astype(object).where(frame.notna(), None).values.tolist()
    return wandb.Table(columns=list(map(str, frame.columns)), data=rows, allow_mixed_types=True)
