"""The loop of every agent: hand each user turn to the target and go on until the task says that it is done.

Agents differ in what their tasks bring (agents/task.py): prompts, tools, the form of observations, the end.
The function-calling agent is the loop with nothing else.
"""

from contextlib import aclosing
from dataclasses import replace
from typing import Any

from agents.task import Environment, Step, Task
from agents.trajectory import Status, Trajectory
from precall.errors import BackendError, ConfigError
from precall.events import EventKind, EventRecorder, now_s
from precall.speculation import Speculation
from precall.tools import ToolExecutor
from precall.turn import Target, Turn, TurnRunner


class FunctionCallingAgent:
    """Works on one task at a time. `max_turns` bounds the turns of one user turn."""

    def __init__(self, max_turns: int = 20) -> None:
        if max_turns < 1:
            raise ConfigError(f"agent.max_turns is {max_turns}; it must be at least 1.")
        self._max_turns = max_turns

    async def run(
        self,
        task: Task,
        *,
        target: Target,
        speculation: Speculation,
        executor: ToolExecutor,
        recorder: EventRecorder,
    ) -> Trajectory:
        """Work on `task` to its end and return the trajectory, graded where the task has a judge. A failed backend ends
        it with status FAILED; whatever happens, nothing that speculation started outlives the call, and the task's
        environment is closed after it."""
        async with task.open() as environment:
            runner = TurnRunner(target, speculation, environment.tools, executor, recorder)
            trajectory = await self._work(task, runner, speculation, recorder)
            return await _graded(trajectory, environment, recorder)

    async def _work(
        self, task: Task, runner: TurnRunner, speculation: Speculation, recorder: EventRecorder
    ) -> Trajectory:
        started_s = now_s()
        messages: list[dict[str, Any]] = []
        turns: list[Turn] = []
        user_turn_of: list[int] = []
        status, error = Status.FAILED, None  # until it has ended otherwise, also when it is cancelled
        recorder.emit(EventKind.TRAJECTORY_STARTED)
        try:
            ended = Status.FINISHED
            for index, user_turn in enumerate(task.user_turns):
                messages.extend(user_turn)
                first, step = len(turns), ()
                while not isinstance(step, Status):
                    messages.extend(step)
                    async with aclosing(runner.run_response(messages)) as response:
                        async for turn in response:
                            turns.append(turn)
                            user_turn_of.append(index)
                            step = self._after_turn(task, turns[first:])
                            if not turn.generation.is_continued:
                                continue
                            if isinstance(step, Status):
                                break  # a response of several turns goes no further than separate ones would
                            assert not step, "nothing can be said to the target in the middle of a response"
                ended = step
                if ended is not Status.FINISHED:
                    break
            status = ended
        except BackendError as failure:
            error = str(failure)
        finally:
            await speculation.aclose()
            recorder.emit(EventKind.TRAJECTORY_FINISHED, status=status, message=error)
        return Trajectory(
            trajectory_id=recorder.trajectory_id,
            task_id=task.task_id,
            status=status,
            turns=tuple(turns),
            user_turn_of=tuple(user_turn_of),
            started_s=started_s,
            finished_s=now_s(),
            error=error,
            messages=tuple(messages),
        )

    def _after_turn(self, task: Task, turns: list[Turn]) -> Step:
        step = task.after_turn(turns)
        if not isinstance(step, Status) and len(turns) == self._max_turns:
            return Status.TURN_LIMIT
        return step


async def _graded(trajectory: Trajectory, environment: Environment, recorder: EventRecorder) -> Trajectory:
    if environment.grade is None or trajectory.status is Status.FAILED:
        return trajectory
    started_s = now_s()
    grade = await environment.grade(trajectory)
    recorder.emit(
        EventKind.TRAJECTORY_GRADED,
        is_solved=grade.is_solved,
        workspace_hash=grade.workspace_hash,
        duration_s=now_s() - started_s,
        details=dict(grade.details),
    )
    return replace(trajectory, grade=grade)
