"""What an agent leaves behind when it has worked on a task."""

from dataclasses import dataclass
from enum import StrEnum

from precall.turn import Turn


class Status(StrEnum):
    """How a trajectory ended."""

    FINISHED = "finished"
    TURN_LIMIT = "turn_limit"  # max_turns were used up before an answer
    FAILED = "failed"  # the backend failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """All turns of one task. `user_turn_of[i]` is the user turn to which turn i belongs; times in seconds of the loop's
    clock; `error` is what ended a failed trajectory."""

    trajectory_id: str
    task_id: str
    status: Status
    turns: tuple[Turn, ...]
    user_turn_of: tuple[int, ...]
    started_s: float
    finished_s: float
    error: str | None = None

    @property
    def duration_s(self) -> float:
        return self.finished_s - self.started_s

    @property
    def num_output_tokens(self) -> int | None:
        """Tokens that the target generated; None when a server did not count them."""
        counts = [turn.generation.num_output_tokens for turn in self.turns]
        return None if None in counts else sum(count for count in counts if count is not None)
