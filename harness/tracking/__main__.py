"""`make wandb`, or `python -m harness.tracking [-m] experiment=NAME [overrides]`: copies figures, tables, verdicts and
report into a W&B run in the group of the sweep's cells. Does nothing with tracker=disabled.

Whatever fails in W&B is said, and the exit status is 0 all the same: the results are there.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from harness import provenance
from harness.command import composed, ending
from harness.experiment import experiments_of
from harness.schema import TrackerMode
from harness.tracking.results import Copied, copy
from harness.tracking.wandb_runs import WandbRuns, check_login

RESULTS = provenance.ROOT / "results"


def copy_results(nodes: Sequence[Any], console: Console, results: Path = RESULTS) -> Copied | None:
    """Copy the results of composed configurations, and say where the copy is. Raises ConfigError where there is no
    account and the configuration wants one."""
    experiments = experiments_of(nodes)
    if experiments[0].config.tracker.mode is TrackerMode.disabled:
        console.print("W&B is switched off (tracker=disabled): nothing was copied.")
        return None
    check_login(experiments[0].config)
    copied = copy(experiments, results, WandbRuns(lambda text: console.print(text, markup=False, soft_wrap=True)))
    if copied is None:
        return None
    what = ", ".join(f"{kind} ({num})" for kind, num in copied.num_files.items())
    where = copied.url or f"{copied.folder}; to upload it: wandb sync {copied.folder}"
    console.print(f"W&B has a copy of {what}: {where}", markup=False, highlight=False, soft_wrap=True)
    return copied


def main() -> None:
    if nodes := composed():
        ending(lambda: _copy(nodes))


def _copy(nodes: Sequence[Any]) -> None:
    copy_results(nodes, Console(stderr=True))


if __name__ == "__main__":
    main()
