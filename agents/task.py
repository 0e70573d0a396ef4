"""A task: what an agent is asked, and the tools it may use."""

from collections.abc import Callable
from dataclasses import dataclass

from precall.calls import ToolCall
from precall.tools import Tool

Message = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One problem.

    `user_turns` holds, per user turn (BFCL's word), the messages that open it. `make_tools` returns fresh tools for one
    trajectory: what one trajectory writes, no other sees. `reference_calls` holds, per user turn, calls that the
    task's author accepts; trajectories for replay are built from them.
    """

    task_id: str
    user_turns: tuple[tuple[Message, ...], ...]
    make_tools: Callable[[], tuple[Tool, ...]]
    reference_calls: tuple[tuple[ToolCall, ...], ...] = ()
