"""The tasks of a configuration: one function per task set, and the agent that they are made for."""

import functools
import random
from collections.abc import Collection

from agents.swe import SweAgent, bash_agent
from agents.swe_tools import tools_agent
from agents.task import Task
from harness.schema import AgentKind, Config, TaskSource
from harness.workloads.bfcl import load_bfcl
from harness.workloads.pocket import load_pocket, load_pocket_by_id
from harness.workloads.swe_bench import load_swe_bench
from harness.workloads.swe_local import load_swe_local
from precall.errors import ConfigError


def load_tasks(config: Config, num_tasks: int, seed: int) -> list[Task]:
    """Return `num_tasks` tasks of the workload, drawn by `seed`. Raises ConfigError when it has not as many."""
    workload = config.workload
    match workload.source:
        case TaskSource.bfcl:
            return load_bfcl(workload.categories, num_tasks=num_tasks, seed=seed)
        case TaskSource.pocket:
            return load_pocket(num_tasks=num_tasks, seed=seed)
        case TaskSource.swe_local:
            return load_swe_local(swe_agent_of(config), num_tasks=num_tasks, seed=seed)
        case TaskSource.swe_bench:
            return _load_swe_bench(config, num_tasks=num_tasks, seed=seed)
        case _:
            return _draw(_all_reasoning_tasks(workload.source, workload.dataset), num_tasks, seed, workload.name)


def tasks_among(config: Config, task_ids: Collection[str]) -> list[Task]:
    """Return the tasks of a workload that have one of these ids, in an order of their own."""
    match config.workload.source:
        case TaskSource.bfcl:
            tasks = _all_bfcl_tasks(tuple(config.workload.categories))
            return [task for task in tasks if task.task_id in task_ids]
        case TaskSource.pocket:
            return load_pocket_by_id(sorted(task_ids))
        case TaskSource.swe_local:
            return load_swe_local(swe_agent_of(config), num_tasks=None, seed=0, task_ids=task_ids)
        case TaskSource.swe_bench:
            return _load_swe_bench(config, num_tasks=None, seed=0, task_ids=task_ids)
        case source:
            return [task for task in _all_reasoning_tasks(source, config.workload.dataset) if task.task_id in task_ids]


def _load_swe_bench(
    config: Config, *, num_tasks: int | None, seed: int, task_ids: Collection[str] | None = None
) -> list[Task]:
    workload = config.workload
    return load_swe_bench(
        swe_agent_of(config),
        dataset=workload.dataset,
        split=workload.split,
        images=workload.images,
        num_tasks=num_tasks,
        seed=seed,
        task_ids=task_ids,
    )


def swe_agent_of(config: Config) -> SweAgent:
    """Return the agent that works on repositories; schema.check lets no other kind through."""
    make = {AgentKind.swe: bash_agent, AgentKind.swe_tools: tools_agent}[config.agent.kind]
    return make(timeout_s=config.agent.command_timeout_s)


@functools.cache
def _all_reasoning_tasks(source: TaskSource, dataset: str) -> list[Task]:
    from harness.workloads import reasoning  # its search takes half a second to import

    if source is TaskSource.reasoning_local:
        return reasoning.load_local()
    return reasoning.load_reasoning(source.value, dataset)


def _draw(tasks: list[Task], num_tasks: int, seed: int, name: str) -> list[Task]:
    if num_tasks > len(tasks):
        raise ConfigError(
            f"num_tasks is {num_tasks}; it must be between 1 and {len(tasks)}, the tasks that workload {name} has. "
            "Lower agent.num_agents or agent.tasks_per_agent."
        )
    return random.Random(seed).sample(tasks, num_tasks)


@functools.cache
def _all_bfcl_tasks(categories: tuple[str, ...]) -> list[Task]:
    return load_bfcl(categories, num_tasks=None, seed=0)
