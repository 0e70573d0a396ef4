"""The group `jobs` of the configuration: where the jobs of a sweep run, and what each asks of a cluster."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from precall.errors import ConfigError


class JobsPlace(Enum):
    here = "here"  # in this process, one after the other
    joblib = "joblib"  # in several processes of this machine
    submitit_local = "submitit_local"  # as on Slurm, in processes of this machine: to try it
    slurm = "slurm"


@dataclass(kw_only=True)
class JobsConfig:
    """Where jobs run. `num_processes` is for joblib.

    For submitit: a job ends itself `signal_delay_s` before its limit, `timeout_min`, and is queued again, at most
    `max_requeues` times; `is_offline` keeps it from asking the hub. The others are sbatch's own, null being its
    default: `setup` holds lines of shell that come before the job, `sbatch` flags that have no key here. How many GPUs
    a job asks for follows from its servers."""

    name: str = "here"
    place: JobsPlace = JobsPlace.here
    num_processes: int = 1
    timeout_min: int = 60
    signal_delay_s: int = 60
    max_requeues: int = 0
    is_offline: bool = False
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    cpus_per_task: int | None = None
    mem_gb: int | None = None
    setup: list[str] = field(default_factory=list)
    sbatch: dict[str, Any] = field(default_factory=dict)


def check_jobs(jobs: JobsConfig) -> None:
    """Raise ConfigError for a setting outside its rule."""
    if jobs.num_processes < 1:
        raise ConfigError(f"jobs.num_processes is {jobs.num_processes}; it must be at least 1.")
    if jobs.max_requeues < 0:
        raise ConfigError(f"jobs.max_requeues is {jobs.max_requeues}; it must be 0 or more.")
    if not 0 < jobs.signal_delay_s < 60 * jobs.timeout_min:
        raise ConfigError(
            f"jobs.signal_delay_s is {jobs.signal_delay_s} and jobs.timeout_min is {jobs.timeout_min}; a job must have "
            "time before it ends itself: 0 < signal_delay_s < 60 timeout_min."
        )
