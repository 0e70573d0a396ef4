"""Plans: what a target and a draft say in a task, written by hand. What the tools return is recorded from them.

A file of YAML holds plans by task id, each a list of turns:

    pagekit__pagekit-12:
      - reason: The footer is drawn from num_pages, so that is where to look.
        call: {bash: grep -rn num_pages pagekit}
        drafts: [same, {bash: ls}, none]
      - reason: That is all.
        answer: A full last page was followed by an empty one.

A turn has a call or an answer. A call is the name of a tool and its arguments, or, if it is a text, the value of the
first argument that the tool requires. A draft's sample is a call, `same` for what the target does, or `none` for no
call.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from agents.function_calling import FunctionCallingAgent
from agents.task import Task
from agents.trajectory import Status
from harness.replay.models import RecordedTarget, TimedDraft
from harness.replay.trajectories import RecordedObservation, RecordedTrajectory, RecordedTurn
from precall.calls import Observation, ToolCall
from precall.errors import ConfigError
from precall.events import EventRecorder
from precall.speculation import NoSpeculation
from precall.tools import Tool, run_tool

SAME, NO_CALL = "same", "none"


def read_plans(folder: Path, tasks: Iterable[Task]) -> dict[str, RecordedTrajectory]:
    """Return the plans of a folder's files by task id, without observations. Raises ConfigError, which names task and
    turn, for one that is not in the form or has no task."""
    known = {task.task_id: task for task in tasks}
    plans: dict[str, RecordedTrajectory] = {}
    for path in sorted(folder.glob("*.yaml")):
        for task_id, turns in yaml.safe_load(path.read_text(encoding="utf-8")).items():
            if task_id not in known or task_id in plans:
                raise ConfigError(f"{path.name}: {task_id} is no task of this workload, or has a plan already.")
            tools = {tool.name: tool for tool in known[task_id].make_tools()}
            read = tuple(
                _turn(turn, tools, f"{path.name}: {task_id}, turn {index}") for index, turn in enumerate(turns)
            )
            plans[task_id] = RecordedTrajectory(task_id=task_id, turns=read)
    return plans


def _turn(fields: Mapping[str, Any], tools: Mapping[str, Tool], where: str) -> RecordedTurn:
    if not {"reason"} < fields.keys() <= {"reason", "call", "answer", "drafts"} or ("call" in fields) == (
        "answer" in fields
    ):
        raise ConfigError(f"{where}: it has {sorted(fields)}; it must have a reason, a call or an answer, and drafts.")
    for name in ("reason", "answer"):
        if not isinstance(fields.get(name, ""), str):
            raise ConfigError(f"{where}: {name} is {fields[name]!r}; it must be a text. Put it into quotation marks.")
    calls = (_call(fields["call"], tools, where),) if "call" in fields else ()
    samples = [_sample(sample, calls, tools, where) for sample in fields.get("drafts", ())]
    return RecordedTurn(
        user_turn=0,
        # As Qwen3 has them: a line of its own for the reasoning, an empty one behind it.
        reasoning=f"\n{fields['reason'].strip()}\n",
        content="\n\n" + fields.get("answer", "").strip(),
        calls=calls,
        draft_samples=tuple(samples),
    )


def _sample(sample: Any, calls: tuple[ToolCall, ...], tools: Mapping[str, Tool], where: str) -> tuple[ToolCall, ...]:
    if sample == SAME:
        return calls
    return () if sample == NO_CALL else (_call(sample, tools, where),)


def _call(fields: Any, tools: Mapping[str, Tool], where: str) -> ToolCall:
    if not isinstance(fields, Mapping) or len(fields) != 1 or not fields.keys() <= tools.keys():
        raise ConfigError(f"{where}: {fields!r} is no call; it must be one of {sorted(tools)} with its arguments.")
    ((name, arguments),) = fields.items()
    if not isinstance(arguments, Mapping):
        arguments = {tools[name].parameters["required"][0]: arguments}
    return ToolCall(name=name, arguments=json.dumps(arguments, ensure_ascii=False))


async def observe(task: Task, plan: RecordedTrajectory, max_turns: int) -> RecordedTrajectory:
    """Return the plan with what the task's real tools return, and the seconds that they took. Raises ConfigError for a
    plan that does not end, or does not solve its task."""
    target = RecordedTarget(plan, TimedDraft(plan, [[0.0] * len(turn.draft_samples) for turn in plan.turns]))
    trajectory = await FunctionCallingAgent(max_turns).run(
        task,
        target=target,
        speculation=NoSpeculation(),
        executor=run_tool,
        recorder=EventRecorder(f"plan/{task.task_id}", lambda event: None),
    )
    if trajectory.status is not Status.FINISHED or len(trajectory.turns) != len(plan.turns):
        raise ConfigError(
            f"The plan of {task.task_id} ends as {trajectory.status} after {len(trajectory.turns)} of "
            f"{len(plan.turns)} turns ({trajectory.error}); the last turn must end the work, and no other."
        )
    if trajectory.grade is None or not trajectory.grade.is_solved:
        details = {} if trajectory.grade is None else trajectory.grade.details
        raise ConfigError(f"The plan of {task.task_id} does not solve it: {details}.")
    return replace(
        plan,
        turns=tuple(
            replace(turn, observations=tuple(map(_recorded, observed.observations)))
            for turn, observed in zip(plan.turns, trajectory.turns, strict=True)
        ),
    )


def _recorded(observation: Observation) -> RecordedObservation:
    return RecordedObservation(content=observation.content, duration_s=observation.duration_s)


def without_observations(trajectory: RecordedTrajectory) -> RecordedTrajectory:
    """Return the trajectory as if nothing of its tools had been recorded."""
    return replace(trajectory, turns=tuple(replace(turn, observations=None) for turn in trajectory.turns))
