"""A task: what an agent is asked, what it works in, and when it is done."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass

from agents.trajectory import Grade, Status, Trajectory
from precall.calls import ToolCall
from precall.tools import Tool
from precall.turn import Turn

Message = dict[str, object]

Step = Status | tuple[Message, ...]
"""What follows a turn: the end of the user turn (FINISHED) or of the trajectory (any other status), or what is said to
the target before it goes on, which may be nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What one trajectory works in: its tools and, where there is one, the judge of what it leaves.

    `grade` is called once, when the trajectory has ended and nothing runs in the environment any more.
    """

    tools: tuple[Tool, ...]
    grade: Callable[[Trajectory], Awaitable[Grade]] | None = None


def until_answer(turns: Sequence[Turn]) -> Step:
    """Go on until the target answers without a call."""
    return () if turns[-1].generation.tool_calls else Status.FINISHED


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One problem.

    `user_turns` holds, per user turn (BFCL's word), the messages that open it. `make_tools` returns fresh tools for one
    trajectory: what one trajectory writes, no other sees. A task with an `environment` of its own has its tools run
    there, and those of `make_tools` are for reading: schema, effect, whether they can be forked. `after_turn` sees the
    turns of the user turn so far and says how it goes on; a function of them and of nothing else. `reference_calls`
    holds, per user turn, calls that the task's author accepts; trajectories for replay are built from them.
    """

    task_id: str
    user_turns: tuple[tuple[Message, ...], ...]
    make_tools: Callable[[], tuple[Tool, ...]]
    environment: Callable[[], AbstractAsyncContextManager[Environment]] | None = None
    after_turn: Callable[[Sequence[Turn]], Step] = until_answer
    reference_calls: tuple[tuple[ToolCall, ...], ...] = ()

    def open(self) -> AbstractAsyncContextManager[Environment]:
        """Return what one trajectory works in. It is closed however the trajectory ends."""
        if self.environment is None:
            return nullcontext(Environment(tools=self.make_tools()))
        return self.environment()
