"""Which sequences may be resident: those whose worst case fits below a cap, and no other.

Stock streaming sessions deadlock when paused ones hold the KV cache and each needs one block more. Here a session
reserves, before each turn, the blocks of the longest that turn can become; what cannot be reserved is not resident. The
reservations together leave room for one longest request, so bystanders always move, and with them the sessions.

All layers with full attention share one table of blocks; gpt-oss's layers with a sliding window share a second one out
of the same blocks. It holds the window and what is in flight, which vLLM bounds, and never more than the first.
"""

from dataclasses import dataclass
from typing import Self

from precall.errors import ConfigError


@dataclass(slots=True)
class Admission:
    """The blocks and seats that resident sequences may take together. `num_blocks` are those of the whole KV cache,
    `num_longest` those that a request of `max_model_len` takes at most, as vLLM counts them.

    A step may draft `num_draft_tokens` beyond the end of a sequence, and they take blocks until they are verified.
    """

    num_blocks: int
    num_longest: int
    block_size: int
    max_model_len: int
    max_num_seqs: int
    num_draft_tokens: int = 0
    num_reserved: int = 0
    num_sessions: int = 0

    def __post_init__(self) -> None:
        if self.num_blocks < 1 or self.block_size < 1:
            what = f"the KV cache has {self.num_blocks} blocks of {self.block_size} tokens"
            raise ConfigError(f"{what}; admission needs at least 1 of each.")
        if self._num_window_blocks < 0:
            what = f"{self.max_model_len} tokens take {self.num_longest} blocks of {self.block_size} tokens"
            raise ConfigError(f"{what}; admission needs a model that keeps them all.")

    @property
    def num_admissible(self) -> int:
        """Blocks under the cap: all but vLLM's null block and those of one longest request."""
        return max(0, self.num_blocks - 1 - self._blocks(self.max_model_len))

    def admit(self, num_tokens: int) -> "Reservation | None":
        """Reserve room for a sequence that may grow to `num_tokens`; None when there is none.

        One seat of max_num_seqs stays free, since a session that awaits a result occupies its seat.
        """
        if self.why_full(num_tokens) is not None:
            return None
        reservation = Reservation(self)
        has_grown = reservation.grow(num_tokens)
        assert has_grown, "there was room"
        self.num_sessions += 1
        return reservation

    def why_full(self, num_tokens: int) -> str | None:
        """Return why `admit` would admit no sequence that may grow to `num_tokens`, or None."""
        if self.num_sessions + 1 >= self.max_num_seqs:
            return "no seat is free for a resident sequence"
        if self.num_reserved + self._blocks(num_tokens) > self.num_admissible:
            return "no KV blocks are free for a resident sequence"
        return None

    @property
    def _num_window_blocks(self) -> int:
        """Blocks of the second table at most; 0 when there is none."""
        return self.num_longest - -(-self.max_model_len // self.block_size)

    def _blocks(self, num_tokens: int) -> int:
        num_full = -(-min(num_tokens + self.num_draft_tokens, self.max_model_len) // self.block_size)
        return num_full + min(num_full, self._num_window_blocks)


class Reservation:
    """The room of one session; a context manager that gives it back."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._num_blocks = 0

    def grow(self, num_tokens: int) -> bool:
        """Reserve room for `num_tokens` in all; False, and nothing changed, when there is none."""
        num_more = max(0, self._admission._blocks(num_tokens) - self._num_blocks)
        if self._admission.num_reserved + num_more > self._admission.num_admissible:
            return False
        self._admission.num_reserved += num_more
        self._num_blocks += num_more
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._admission.num_reserved -= self._num_blocks
        self._admission.num_sessions -= 1
        self._num_blocks = 0
        assert self._admission.num_reserved >= 0 and self._admission.num_sessions >= 0, "given back what was reserved"
