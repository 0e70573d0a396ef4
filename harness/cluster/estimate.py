"""What a sweep will take: seconds of each job, and GPU-hours, before it is submitted.

A cell takes as long as finished ones of its setting, else as all others (measured). Where there is none yet, the
simulator that is calibrated to the paper says it (modelled): gpt-oss-120b on an A100 with so many agents on BFCL tasks,
a call and an answer each, at the cell's latency, without speculation. Agents of other workloads are taken to need all
of their `max_turns`, so that the estimate is an upper one.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from harness.backends.simulated import calibrate
from harness.backends.simulated.grid import Grid
from harness.backends.simulated.paper import PaperParameters
from harness.build import latency_of
from harness.display import duration_text
from harness.jobs import Job
from harness.progress import Pace
from harness.schema import TaskSource
from harness.sweep import Cell

NUM_RUNS = 4  # of a cell: two arms, twice
START_S = 300.0
"""Seconds until servers are up: reading some 65 GB of weights and capturing CUDA graphs; a guess, for every job."""
SINGLE_TURN = {"simple_python", "multiple", "live_simple", "live_multiple"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Seconds that a job will take, those of its servers' start among them; `origin` is measured or modelled."""

    job: Job
    seconds: float
    origin: str

    @property
    def gpu_hours(self) -> float:
        return self.job.num_gpus * self.seconds / 3600.0


def estimate(job: Job, pace: Pace) -> Estimate:
    """Return what a job will take by the cells that are finished, or by the model."""
    known = [pace.cell_s(cell.setting_id) for cell in job.cells]
    is_measured = all(seconds is not None for seconds in known)
    cells_s = sum(
        _modelled_cell_s(cell) if seconds is None else seconds for cell, seconds in zip(job.cells, known, strict=True)
    )
    return Estimate(job=job, seconds=START_S + cells_s, origin="measured" if is_measured else "modelled")


def total_text(estimates: Sequence[Estimate]) -> str:
    """Return one line about all jobs."""
    origins = " and ".join(sorted({each.origin for each in estimates}))
    longest_s = max(each.seconds for each in estimates)
    return (
        f"estimate ({origins}): jobs: {len(estimates)}, the longest {duration_text(longest_s)}, together "
        f"{sum(each.gpu_hours for each in estimates):.1f} GPU-hours"
    )


def _modelled_cell_s(cell: Cell) -> float:
    config = cell.config
    generation_s, answer_s = _generation_s(config.agent.num_agents)
    latency_s = latency_of(config, generation_s).mean_s
    is_single_turn = config.workload.source is TaskSource.bfcl and set(config.workload.categories) <= SINGLE_TURN
    num_calls = 1 if is_single_turn else config.agent.max_turns - 1
    task_s = num_calls * (generation_s + latency_s) + answer_s
    return NUM_RUNS * config.agent.tasks_per_agent * task_s


@functools.cache
def _generation_s(num_agents: int) -> tuple[float, float]:
    """Return the mean seconds of a generation that ends in a call, and of an answer, with so many agents at once."""
    parameters = PaperParameters(**calibrate.load()["parameters"])
    num_tasks = 4
    run = Grid(parameters).standard(0.0, num_agents, num_tasks, repeat=0)
    task_s = sum(run.agent_s) / len(run.agent_s) / num_tasks
    work = parameters.work()
    call_tokens = work.reasoning_tokens + work.call_tokens
    call_share = call_tokens / (call_tokens + work.answer_tokens)
    return call_share * task_s, (1.0 - call_share) * task_s
