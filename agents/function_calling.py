"""The function-calling agent: hand each user turn to the target and loop until it answers without a call."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

from agents.task import Task
from agents.trajectory import Status, Trajectory
from precall.errors import BackendError, ConfigError
from precall.events import EventKind, EventRecorder, now_s
from precall.speculation import Speculation
from precall.tools import Tool, ToolExecutor
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
        tools: Sequence[Tool],
        executor: ToolExecutor,
        recorder: EventRecorder,
    ) -> Trajectory:
        """Work on `task` to its end and return the trajectory. A failed backend ends it with status FAILED; whatever
        happens, nothing that speculation started outlives the call."""
        runner = TurnRunner(target, speculation, tools, executor, recorder)
        started_s = now_s()
        turns: list[Turn] = []
        user_turn_of: list[int] = []
        status, error = Status.FAILED, None  # until it has ended otherwise, also when it is cancelled
        is_within_limit = True
        recorder.emit(EventKind.TRAJECTORY_STARTED)
        try:
            messages: list[dict[str, Any]] = []
            for index, user_turn in enumerate(task.user_turns):
                messages.extend(user_turn)
                num_turns = 0
                while is_within_limit:
                    async with aclosing(runner.run_response(messages)) as response:
                        async for turn in response:
                            turns.append(turn)
                            user_turn_of.append(index)
                            num_turns += 1
                            if num_turns == self._max_turns:
                                break  # a response of several turns goes no further than separate ones would
                    if not turns[-1].generation.tool_calls:
                        break
                    is_within_limit = num_turns < self._max_turns
            status = Status.FINISHED if is_within_limit else Status.TURN_LIMIT
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
        )
