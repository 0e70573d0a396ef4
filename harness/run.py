"""`python -m harness.run experiment=NAME [overrides]`: runs an experiment, or with -m several, sharing their servers.

The last line on stdout is one JSON object with the figures of every setting; it is kept in results/bench/ too. With
several experiments there is such a line for each, as soon as it is complete.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from harness import tables
from harness.bench import write_bench
from harness.closing_table import print_closing_table
from harness.cluster.places import run_in_place
from harness.command import composed, ending
from harness.experiment import Experiment, check_before_start, experiments_of
from harness.progress import attempts_in
from harness.sweep import Cell
from precall.errors import BackendError


def run_experiments(nodes: Sequence[Any]) -> None:
    """Run composed configurations. Raises what ends the run."""
    experiments = experiments_of(nodes)
    check_before_start(experiments)
    console = Console(stderr=True)
    left = {each.config.output: {cell.cell_id for cell in each.missing} for each in experiments}
    by_output = {each.config.output: each for each in experiments}
    for experiment in experiments:
        num_found = len(experiment.cells) - len(left[experiment.config.output])
        if num_found:
            text = f"{experiment.config.experiment}: {num_found} of {len(experiment.cells)} cells are there already"
            console.print(text, highlight=False, soft_wrap=True)
        if num_found == len(experiment.cells):
            close(experiment, console)

    def on_cell(cell: Cell) -> None:
        output = cell.config.output
        left[output].discard(cell.cell_id)
        if not left[output]:
            close(by_output[output], console)

    run_in_place(experiments, console, on_cell)
    for output, names in left.items():
        if names:
            close(by_output[output], console)
    if any(left.values()):
        attempts = [attempt for output, names in left.items() for attempt in attempts_in(Path(output), names)]
        raise BackendError(
            f"{sum(map(len, left.values()))} cells are not finished, and in no table, since other processes are at "
            f"them: {', '.join(map(str, attempts)) or 'nobody any more'}. Wait for those to end."
        )


def close(experiment: Experiment, console: Console) -> None:
    """Write the tables of an experiment's finished cells and say what they show."""
    records = tables.summarise(tables.write_tables(experiment.cells, experiment.folder))
    print_closing_table(records, console)
    config = experiment.config
    write_bench(
        config.experiment,
        {"experiment": config.experiment, "scale": config.scale.name, "settings": records},
        config.seed,
    )


def main() -> None:
    if nodes := composed():
        ending(lambda: run_experiments(nodes))


if __name__ == "__main__":
    main()
