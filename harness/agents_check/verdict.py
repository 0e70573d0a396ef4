"""Is every task solved in every arm, and did every arm see and leave the same?"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.agents_check.rounds import Run
from harness.agents_check.workloads import BASELINE, Workload
from harness.metrics.comparison import (
    MeasurementError,
    check_drafts_answered,
    check_identical,
    check_posts_taken,
    task_id_of,
)
from precall.events import EventKind
from precall.tools import Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the runs of the workload `name` show: its tasks, and those that were solved in every run; the tasks with a
    workspace, and those whose hash was the same at the end of every run; prompts of resident runs, and how many equal
    the baseline's; in words whatever else is wrong."""

    name: str
    num_tasks: int
    num_solved: int
    num_workspaces: int
    num_workspaces_identical: int
    num_resident_prompts: int
    num_equal_resident_prompts: int
    faults: tuple[str, ...]

    @property
    def complaints(self) -> tuple[str, ...]:
        """Everything that is wrong, counts included; nothing where all is as it must be."""
        found = list(self.faults)
        if self.num_solved < self.num_tasks:
            found.append(f"{self.name}: {self.num_tasks - self.num_solved} of {self.num_tasks} tasks are not solved")
        if self.num_workspaces_identical < self.num_workspaces:
            num = self.num_workspaces - self.num_workspaces_identical
            found.append(f"{self.name}: {num} of {self.num_workspaces} final workspaces are not the same in every run")
        return tuple(found)


def verdict_of(workload: Workload, runs: Sequence[Run]) -> Verdict:
    """Hold all runs of a workload against each other: prompts (of resident runs as docs/residency.md has it),
    generated tokens, observations, final workspaces, and what the judges say."""
    faults = [f"{workload.name}: {run.name}: {run.failure}" for run in runs if run.failure is not None]
    whole = [run for run in runs if run.failure is None]
    grades = [_grades(run) for run in runs]
    task_ids = [task.task_id for task in workload.tasks]
    hashes = {task_id: [found.get(task_id, (None, None))[1] for found in grades] for task_id in task_ids}
    with_workspace = [task_id for task_id in task_ids if any(hashes[task_id])]
    num_prompts = num_equal = 0
    reference = [run for run in whole if run.arm == BASELINE][:1]
    for run in whole if reference else ():
        try:
            agreed = check_identical(
                {"baseline": reference[0].events, _compared_name(run): run.events},
                may_prompts_of_spec_differ=run.arm.is_resident,
            )
            num_prompts, num_equal = num_prompts + agreed.num_prompts, num_equal + agreed.num_equal_prompts
        except MeasurementError as error:
            faults.append(f"{workload.name}: {error}")
    faults += [f"{workload.name}: {run.name}: {fault}" for run in whole for fault in _faults_of_run(run)]
    faults += _idle_speculation(workload, whole)
    return Verdict(
        name=workload.name,
        num_tasks=len(task_ids),
        num_solved=sum(all(found.get(task_id, (False,))[0] for found in grades) for task_id in task_ids),
        num_workspaces=len(with_workspace),
        num_workspaces_identical=sum(len(set(hashes[task_id])) == 1 for task_id in with_workspace),
        num_resident_prompts=num_prompts,
        num_equal_resident_prompts=num_equal,
        faults=tuple(faults),
    )


def _compared_name(run: Run) -> str:
    return f"spec ({run.name})" if run.arm.is_resident else run.name


def _grades(run: Run) -> dict[str, tuple[bool, str | None]]:
    """Return by task whether it is solved, and the hash of its workspace."""
    return {
        task_id_of(event): (event.data["is_solved"] is True, event.data["workspace_hash"])
        for event in run.events
        if event.kind is EventKind.TRAJECTORY_GRADED
    }


def _faults_of_run(run: Run) -> Iterable[str]:
    for check in (check_drafts_answered, check_posts_taken):
        try:
            check(run.events)
        except MeasurementError as error:
            yield str(error)


def _idle_speculation(workload: Workload, runs: Sequence[Run]) -> Iterable[str]:
    """Name an arm that had right predictions and has committed no fork or posted nothing: that it agrees with the
    baseline would show nothing."""
    effects = {tool.name: tool.effect for task in workload.tasks for tool in task.make_tools()}
    for arm in {run.arm.name: run.arm for run in runs}.values():
        events = [event for run in runs if run.arm == arm for event in run.events]
        predicted = [e.data["name"] for e in events if e.kind is EventKind.CALL_SETTLED and e.data["is_predicted"]]
        has_committed = any(event.kind is EventKind.COMMIT_ENDED and event.data["has_changed"] for event in events)
        if arm.is_forking and not has_committed and any(effects[name] is Effect.WORKSPACE for name in predicted):
            yield f"{workload.name}: arm {arm.name} has committed no fork that changed anything"
        has_posted = any(event.kind is EventKind.OUTPUT_POSTED for event in events)
        if arm.is_resident and not has_posted and any(not effects[name].changes_state for name in predicted):
            yield f"{workload.name}: arm {arm.name} has posted nothing to the engine"
