"""The sequences of a simulated engine that decode: who ends at which step, what their steps take, and which blocks."""

from heapq import heappop, heappush
from itertools import count
from math import ceil, sqrt

from harness.backends.simulated.rates import StepRates
from harness.backends.simulated.sequence import Sequence, State

_NUM_KNOWN = 1024
_ROUNDING = 1e-9  # of a step


class DecodingBatch:
    """All its sequences gain one token in each step. `step` counts the engine's steps; `num` are the sequences and
    `num_context` the tokens of their contexts, samples counted one by one."""

    def __init__(self, rates: StepRates, block_size: int) -> None:
        self.step = 0
        self.num = 0
        self.num_context = 0
        self._rates = rates
        self._block_size = block_size
        self._known_s = [rates.duration_s(num, 0.0) for num in range(_NUM_KNOWN)]
        # How many sequences take a block in the steps that are i modulo the block size; twice over, to sum any stretch.
        self._slots = [0] * (2 * block_size)
        self._ends: list[tuple[int, int, Sequence]] = []
        self._tie = count()

    def join(self, sequence: Sequence) -> None:
        """Take in a sequence whose input has been computed and has given its first token."""
        num, size = sequence.num_samples, self._block_size
        sequence.state = State.DECODING
        sequence.since_step = self.step
        sequence.slot = slot = (self.step - sequence.num_context) % size
        self.num += num
        self.num_context += num * sequence.num_context
        self._slots[slot] += num
        self._slots[slot + size] += num
        self._end_at(sequence, self.step + sequence.num_left - 1)

    def decode_on(self, sequence: Sequence, num_tokens: int) -> None:
        """Let a sequence that has come to its end generate `num_tokens` more."""
        sequence.num_left += num_tokens
        sequence.num_tokens += num_tokens
        self._end_at(sequence, self.step + num_tokens)

    def _end_at(self, sequence: Sequence, step: int) -> None:
        sequence.ends_at_step = step
        heappush(self._ends, (step, next(self._tie), sequence))

    def leave(self, sequence: Sequence) -> None:
        """Let a sequence go, with its counts as they are now."""
        num, size, slot = sequence.num_samples, self._block_size, sequence.slot
        num_steps, num_before = self.step - sequence.since_step, sequence.num_context
        sequence.num_context = num_context = num_before + num_steps
        sequence.num_own_blocks += num * (-(-num_context // size) + -num_before // size)
        sequence.num_left -= num_steps + 1  # the input's end gave one too
        sequence.num_generated += num_steps + 1
        self.num -= num
        self.num_context -= num * num_context
        self._slots[slot] -= num
        self._slots[slot + size] -= num

    def pass_steps(self, num_steps: int) -> None:
        self.step += num_steps
        self.num_context += num_steps * self.num

    def pop_ended(self) -> Sequence | None:
        """Return a sequence that has come to its end by now, the one that was to end first; None if there is none."""
        ends = self._ends
        while ends and ends[0][0] <= self.step:
            at, _, sequence = heappop(ends)
            if sequence.state is State.DECODING and sequence.ends_at_step == at:
                return sequence
        return None

    def num_steps_to_end(self) -> int:
        """Return the steps to the next end; there must be one."""
        ends = self._ends
        while ends[0][2].state is not State.DECODING or ends[0][2].ends_at_step != ends[0][0]:
            heappop(ends)  # it left before, or its end was moved
        return ends[0][0] - self.step

    def num_blocks_in(self, num_steps: int) -> int:
        """Return the blocks that decoding takes in the next `num_steps` steps."""
        num_rounds, rest = divmod(num_steps, self._block_size)
        first = self.step % self._block_size
        return num_rounds * self.num + sum(self._slots[first : first + rest])

    def _first_step_s(self) -> float:
        base_s = self._known_s[self.num] if self.num < _NUM_KNOWN else self._rates.duration_s(self.num, 0.0)
        return base_s + self._rates.context_token_s * self.num_context

    def duration_s(self, num_steps: int) -> float:
        """Return the seconds of the next `num_steps` steps, each of which adds a token to every context."""
        growth_s = self._rates.context_token_s * self.num
        return num_steps * self._first_step_s() + growth_s * num_steps * (num_steps - 1) / 2

    def num_steps_until(self, passed_s: float) -> int:
        """Return the number of the step in flight after `passed_s`, from 1; one that ends just then still is."""
        growth_s = self._rates.context_token_s * self.num
        first_s = self._first_step_s()
        if growth_s == 0.0:
            num_steps = passed_s / first_s
        else:
            slope_s = first_s - growth_s / 2
            num_steps = (sqrt(slope_s**2 + 2 * growth_s * passed_s) - slope_s) / growth_s
        return max(1, ceil(num_steps - _ROUNDING))
