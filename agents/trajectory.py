"""What an agent leaves behind when it has worked on a task."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from precall.turn import Turn


class Status(StrEnum):
    """How a trajectory ended."""

    FINISHED = "finished"
    TURN_LIMIT = "turn_limit"  # max_turns were used up before an answer
    FORMAT_ERRORS = "format_errors"  # the target wrote too many turns in a row that the agent could not use
    FAILED = "failed"  # the backend failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """What a task's judge found at the end: whether the task is solved (None where another program says that later),
    and a hash of the final workspace where there is one, by which arms are compared. `details` is what the judge looked
    at, as plain data; `model_patch` in it is what has changed, as a patch."""

    is_solved: bool | None
    workspace_hash: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """All turns of one task. `user_turn_of[i]` is the user turn to which turn i belongs; times in seconds of the loop's
    clock, without what opening, grading and closing the environment take; `error` is what ended a failed trajectory.
    `messages` is the whole history, and `grade` None where nobody judges or the backend failed."""

    trajectory_id: str
    task_id: str
    status: Status
    turns: tuple[Turn, ...]
    user_turn_of: tuple[int, ...]
    started_s: float
    finished_s: float
    error: str | None = None
    messages: tuple[Mapping[str, Any], ...] = ()
    grade: Grade | None = None

    @property
    def duration_s(self) -> float:
        return self.finished_s - self.started_s

    @property
    def num_output_tokens(self) -> int | None:
        """Tokens that the target generated; None when a server did not count them."""
        counts = [turn.generation.num_output_tokens for turn in self.turns]
        return None if None in counts else sum(count for count in counts if count is not None)
