"""Submits jobs, one set of servers each, through submitit: to Slurm, or to processes of this machine to try it."""

import hashlib
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import submitit
from rich.console import Console
from submitit.core.utils import FailedJobError

from harness.cluster.fetch import check_fetched
from harness.cluster.remote import Outcome, RemoteJob, check_outcomes
from harness.jobs import Job
from harness.jobs_config import JobsConfig, JobsPlace
from precall.errors import BackendError, ConfigError

POLL_S = 1.0


def submitted(jobs: Sequence[Job], config: JobsConfig, console: Console) -> None:
    """Submit jobs and wait for all. One that is queued or runs already is not submitted again. Raises BackendError when
    all have ended and one with an error.

    Interrupted, it leaves jobs of a cluster alone: the same command finds them.
    """
    if config.is_offline:
        check_fetched(jobs)
    queued = _queued() if config.place is JobsPlace.slurm else {}
    handles: dict[str, Any] = {}
    for job in jobs:
        name, folder = queue_name(job), Path(job.config.output).resolve().parent / "jobs"
        if name in queued:
            handles[job.name] = submitit.SlurmJob(folder=folder / "%j", job_id=queued[name])
        else:
            handles[job.name] = _submit(job, name, config, folder)
        state = "is queued already as" if name in queued else "submitted as"
        console.print(f"{job.name}: {len(job.cells)} cells, {state} job {handles[job.name].job_id}", highlight=False)
    try:
        check_outcomes(_outcomes(handles))
    except KeyboardInterrupt:
        if config.place is JobsPlace.slurm:
            ids = " ".join(handle.job_id for handle in handles.values())
            console.print(f"The jobs go on without this command; to end them: scancel {ids}", highlight=False)
        raise


def queue_name(job: Job) -> str:
    """Return the name that a job has in the queue: another one for another folder of results."""
    folder = str(Path(job.config.output).resolve())
    return f"precall-{hashlib.sha256(folder.encode()).hexdigest()[:6]}-{job.name}"


def _submit(job: Job, name: str, config: JobsConfig, folder: Path) -> Any:
    try:
        if config.place is JobsPlace.slurm:
            executor = submitit.AutoExecutor(folder / "%j", "slurm", slurm_max_num_timeout=config.max_requeues)
            executor.update_parameters(**slurm_parameters(job, name, config))
        else:
            executor = submitit.LocalExecutor(folder / "%j", max_num_timeout=config.max_requeues)
            executor.update_parameters(
                timeout_min=config.timeout_min, signal_delay_s=config.signal_delay_s, gpus_per_node=job.num_gpus
            )
        return executor.submit(RemoteJob(job))
    except (RuntimeError, ValueError, FailedJobError) as error:
        raise ConfigError(
            f"jobs.place is {config.place.value}; {job.name} could not be submitted: {error}. Correct what it names, "
            "or use jobs=here."
        ) from error


def slurm_parameters(job: Job, name: str, config: JobsConfig) -> dict[str, Any]:
    """Return what submitit is told of a job; what is None is left to Slurm. `signal_delay_s` before its limit the job
    gets a signal, on which submitit has it queued again."""
    return {
        "name": name,
        "timeout_min": config.timeout_min,
        "gpus_per_node": job.num_gpus or None,
        "cpus_per_task": config.cpus_per_task,
        "mem_gb": config.mem_gb,
        "slurm_partition": config.partition,
        "slurm_account": config.account,
        "slurm_qos": config.qos,
        "slurm_constraint": config.constraint,
        "slurm_signal_delay_s": config.signal_delay_s,
        "slurm_setup": [*config.setup, *(["export HF_HUB_OFFLINE=1"] if config.is_offline else [])],
        "slurm_additional_parameters": config.sbatch,
    }


def _queued() -> dict[str, str]:
    """Return the ids of this user's jobs that are queued or run, by their names."""
    command = ["squeue", "--me", "--noheader", "--format=%i %j"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise ConfigError(
            "jobs.place is slurm, and squeue is not here; submit from a login node of the cluster, or use jobs=here."
        ) from None
    except subprocess.CalledProcessError as error:
        raise BackendError(f"squeue cannot say what is queued: {error.stderr.strip()}") from error
    return {name: job_id for job_id, name in (line.split(maxsplit=1) for line in asked.stdout.splitlines() if line)}


def _outcomes(handles: dict[str, Any]) -> Iterator[Outcome]:
    waiting = dict(handles)
    while waiting:
        for name, handle in list(waiting.items()):
            if not handle.done():
                continue
            del waiting[name]
            error = handle.exception()
            if error is None:
                yield handle.result()
            else:
                yield Outcome(job=name, error=f"{error}\nIts log: {handle.paths.stderr}")
        if waiting:
            time.sleep(POLL_S)
