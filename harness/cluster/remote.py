"""Jobs in other processes: of this machine, by joblib, or of a cluster, by submitit."""

import asyncio
import signal
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import submitit
from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError
from rich.console import Console

from harness.cluster.driver import gpu_problem
from harness.display import Display
from harness.job_runner import JobRunner
from harness.jobs import Job
from harness.metrics.comparison import MeasurementError
from harness.progress import Pace
from harness.records import manifests_in
from harness.tracking import Trackers
from harness.versions import check_versions
from precall.errors import BackendError, ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended: `error` says what ended it before its end."""

    job: str
    error: str | None = None


class RemoteJob:
    """A job, to be called in another process. Says how far it is in `logs/JOB/progress.log` of its results."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.command = sys.argv

    def __call__(self) -> Outcome:
        sys.argv = self.command  # what the records name
        job, logs = self.job, f"logs/{self.job.name}"
        folder = Path(job.config.output) / logs
        folder.mkdir(parents=True, exist_ok=True)
        trackers, exit_code = Trackers(), 1
        with (folder / "progress.log").open("a", encoding="utf-8", buffering=1) as file:
            display = Display(job.name, len(job.cells), Console(file=file, width=200))
            runner = JobRunner(display=display, trackers=trackers, pace=Pace(), on_cell=lambda _: None, logs=logs)
            try:
                check_machine(job)
                with preemptible(runner):
                    runner.run([job])
                exit_code = 0
            except (BackendError, ConfigError, MeasurementError, OSError) as error:
                display.line(str(error))
                return Outcome(job=job.name, error=f"on {socket.gethostname()}: {error}")
            finally:
                trackers.finish(exit_code)
        return Outcome(job=job.name)

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """Return what submitit has Slurm run when the job is queued again: the same, for the folders say what is
        done."""
        return submitit.helpers.DelayedSubmission(self)


@contextmanager
def preemptible(runner: JobRunner) -> Iterator[None]:
    """Put submitit's handler of Slurm's signal off until the runner has stopped: it raises SystemExit wherever this
    process is at work, which may be a tool's code."""
    handler = signal.getsignal(signal.SIGUSR2)
    if not callable(handler):  # no job of submitit
        yield
        return
    is_preempted = False

    def preempt(*_: object) -> None:
        nonlocal is_preempted
        is_preempted = True
        runner.stop()

    signal.signal(signal.SIGUSR2, preempt)
    try:
        yield
    except asyncio.CancelledError:
        if not is_preempted:
            raise
    finally:
        signal.signal(signal.SIGUSR2, handler)
    if is_preempted:
        handler(signal.SIGUSR2, None)  # has the job queued again, and ends the process


def check_machine(job: Job) -> None:
    """Raise ConfigError where this machine, other than the one that the job comes from, lacks GPUs or a driver for it,
    or would add records of another version."""
    if (problem := gpu_problem(job.num_gpus)) is not None:
        raise ConfigError(problem)
    configs = {cell.config.output: cell.config for cell in job.cells}
    for output, config in configs.items():
        check_versions(Path(output), manifests_in(Path(output)), [config])


def in_processes(jobs: Sequence[Job], num_processes: int) -> None:
    """Run jobs in processes of this machine, each dealt out to all of them. Raises BackendError when all have ended and
    one with an error."""
    dealt = [part for job in jobs for part in job.dealt(num_processes)]
    try:
        outcomes: Any = Parallel(n_jobs=num_processes)(delayed(RemoteJob(part))() for part in dealt)
    except TerminatedWorkerError as error:
        raise BackendError(f"A process of jobs=joblib has been killed: {error}") from error
    check_outcomes(outcomes)


def check_outcomes(outcomes: Iterable[Outcome]) -> None:
    """Wait for all jobs. Raises BackendError where one ended with an error."""
    found = list(outcomes)
    errors = [f"{outcome.job}: {outcome.error}" for outcome in found if outcome.error is not None]
    if errors:
        raise BackendError(f"{len(errors)} of {len(found)} jobs ended with an error.\n" + "\n".join(errors))
