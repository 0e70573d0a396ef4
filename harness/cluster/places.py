"""Runs the missing cells of experiments where `jobs` says: here, in processes of this machine, or on a cluster."""

from collections.abc import Callable, Sequence

from rich.console import Console

from harness.cluster.driver import gpu_problem
from harness.cluster.estimate import estimate, total_text
from harness.cluster.remote import in_processes
from harness.cluster.slurm import submitted
from harness.cluster.watch import Watch
from harness.display import Display
from harness.experiment import Experiment, pace_of
from harness.job_runner import JobRunner
from harness.jobs import Job, jobs_of
from harness.jobs_config import JobsConfig, JobsPlace
from harness.progress import Pace
from harness.sweep import Cell
from harness.tracking import Trackers
from precall.errors import ConfigError


def run_in_place(experiments: Sequence[Experiment], console: Console, on_cell: Callable[[Cell], None]) -> None:
    """Run what is missing, but for cells that other processes hold. `on_cell` gets each cell when it is finished, by
    whom ever. Raises what ends a run."""
    missing = [cell for experiment in experiments for cell in experiment.missing]
    if not missing:
        return
    num_cells = sum(len(experiment.cells) for experiment in experiments)
    display = Display("sweep", num_cells, console, num_found=num_cells - len(missing))
    pace = pace_of(experiments)
    jobs = jobs_of(missing)
    config = experiments[0].config.jobs
    if config.place is JobsPlace.here:
        _run_here(jobs, display, pace, on_cell)
        return
    check_shared_machine(jobs, config)
    if any(job.num_gpus for job in jobs):
        console.print(total_text([estimate(job, pace) for job in jobs]), highlight=False)
    watch = Watch(missing, display, pace, on_cell)
    with display.shown(), watch.looking():
        if config.place is JobsPlace.joblib:
            in_processes(jobs, config.num_processes)
        else:
            submitted(jobs, config, console)


def _run_here(jobs: Sequence[Job], display: Display, pace: Pace, on_cell: Callable[[Cell], None]) -> None:
    if (problem := gpu_problem(max(job.num_gpus for job in jobs))) is not None:
        raise ConfigError(problem)
    trackers, exit_code = Trackers(), 1
    try:
        with display.shown():
            JobRunner(display=display, trackers=trackers, pace=pace, on_cell=on_cell).run(jobs)
        exit_code = 0
    finally:
        trackers.finish(exit_code)


def check_shared_machine(jobs: Sequence[Job], config: JobsConfig) -> None:
    """Raise ConfigError where jobs would run on one machine at once and disturb each other's measurements."""
    num = config.num_processes if config.place is JobsPlace.joblib else len(jobs)
    measured = [job for job in jobs if not job.is_simulated]
    if config.place is not JobsPlace.slurm and measured and num > 1:
        raise ConfigError(
            f"jobs.place is {config.place.value}, which runs {num} jobs at once on this machine, and "
            f"{measured[0].name} measures time on it; they would disturb each other. Use jobs=here, or jobs=slurm."
        )
