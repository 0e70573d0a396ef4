"""A model of one engine with continuous batching, in virtual time; no event loop, no clock of its own.

The engine computes in steps (harness/backends/simulated/rates.py). While the batch stays as it is, steps are not
looked at one by one: the engine knows the next boundary at which something happens - a sequence has generated what it
was asked for, an input has been computed, somebody came or left during the step that then ends, KV blocks run out -
and goes there at once. So a turn costs a few boundaries, whatever its length and however many others there are.
"""

from collections.abc import Callable, Hashable
from math import inf

from harness.backends.simulated.batch import DecodingBatch
from harness.backends.simulated.kv_cache import KVCache, Segment
from harness.backends.simulated.rates import EngineLimits, StepRates
from harness.backends.simulated.scheduler import Counts, Scheduler
from harness.backends.simulated.sequence import Goes, Hold, Sequence, State
from precall.errors import ConfigError


class BatchingEngine:
    """Call `submit`, `abort` and `resume` at times that do not decrease, and `advance` when `next_s` has come, before
    any of them at a later time."""

    def __init__(self, rates: StepRates, limits: EngineLimits) -> None:
        self.rates = rates
        self.limits = limits
        self.next_s = inf
        self._batch = DecodingBatch(rates, limits.block_size)
        self._scheduler = Scheduler(limits, self._batch)
        self._leaving: list[Sequence] = []
        # The stretch: from `_start_s`, `_num_steps` steps of one batch.
        self._start_s = 0.0
        self._num_steps = 0
        self._is_input_step = False
        self._is_at_boundary = False

    @property
    def counts(self) -> Counts:
        return self._scheduler.counts

    @property
    def kv(self) -> KVCache:
        return self._scheduler.kv

    @property
    def tokens_per_s(self) -> float:
        """What is generated per second in the stretch that is planned."""
        return self._num_steps * self._batch.num / (self.next_s - self._start_s) if self._num_steps else 0.0

    # From outside.

    def submit(
        self,
        now_s: float,
        path: tuple[Segment, ...],
        num_tokens: int,
        on_end: Callable[[Sequence, float], Goes | Hold | None],
        *,
        num_samples: int = 1,
        key: Hashable = None,
    ) -> Sequence:
        """Bring a request with the prompt `path`; `key` addresses what it will generate. Raises ConfigError for one
        that no empty engine could hold."""
        num_prompt_tokens = 0
        for segment in path:
            num_prompt_tokens += segment.num_tokens
        assert num_prompt_tokens > 0 and num_tokens > 0, "a request has a prompt and generates something"
        num_blocks = -(-(num_prompt_tokens + num_tokens) // self.limits.block_size) * num_samples
        if num_blocks > self.limits.num_blocks or num_samples > self.limits.max_num_seqs:
            raise ConfigError(
                f"A request needs {num_blocks} KV blocks and {num_samples} seats; the simulated engine has "
                f"{self.limits.num_blocks} and {self.limits.max_num_seqs}. Raise num_blocks or max_num_seqs."
            )
        sequence = Sequence(
            path=path,
            num_tokens=num_tokens,
            num_samples=num_samples,
            on_end=on_end,
            key=object() if key is None else key,
            num_prompt_tokens=num_prompt_tokens,
            sent_s=now_s,
            num_left=num_tokens,
        )
        self._scheduler.enqueue(sequence)
        self._disturb(now_s)
        return sequence

    def abort(self, now_s: float, sequence: Sequence) -> None:
        """End a sequence; the step in flight still has it."""
        if sequence.state is State.ENDED:
            return
        if sequence.state is State.WAITING:
            sequence.state = State.ENDED  # the queue passes over it
            return
        self._leaving.append(sequence)
        self._disturb(now_s)

    def resume(self, now_s: float, sequence: Sequence, goes: Goes) -> None:
        """Let a held sequence go on."""
        assert sequence.state is State.HELD, f"the sequence is {sequence.state}"
        self._scheduler.go_on(sequence, goes)
        self._disturb(now_s)

    def advance(self) -> None:
        """Go to the boundary at `next_s`: end what ends there, and plan the next stretch."""
        now_s = self.next_s
        self.counts.num_events += 1
        self._scheduler.pass_steps(self._num_steps)
        self._start_s = now_s
        self._num_steps = 0
        self._is_at_boundary = True
        if self._leaving:
            self._end_leaving()
        if self._is_input_step:
            self._is_input_step = False
            self._scheduler.end_inputs(now_s)
        while (sequence := self._batch.pop_ended()) is not None:
            self._generated(sequence, now_s)
        self._is_at_boundary = False
        self._plan()

    def _end_leaving(self) -> None:
        for sequence in self._leaving:
            if sequence.state is not State.ENDED:
                self._scheduler.end(sequence)
        self._leaving.clear()

    def _generated(self, sequence: Sequence, now_s: float) -> None:
        follows = sequence.on_end(sequence, now_s)
        if isinstance(follows, Goes) and not follows.num_input_tokens:
            self._batch.decode_on(sequence, follows.num_tokens)
            return
        self._scheduler.hold(sequence)
        if follows is None:
            self._scheduler.end(sequence)
        elif isinstance(follows, Goes):
            self._scheduler.go_on(sequence, follows)

    # Time.

    def _disturb(self, now_s: float) -> None:
        """Somebody came or left: the stretch ends with the step in flight."""
        if self._is_at_boundary:
            return
        if self._num_steps == 0:
            self._start_s = max(now_s, self._start_s)
            self._plan()
        elif self._num_steps > 1:
            self._num_steps = min(self._num_steps, self._batch.num_steps_until(now_s - self._start_s))
            self.next_s = self._start_s + self._batch.duration_s(self._num_steps)

    def _plan(self) -> None:
        """Fill the next step, and find how many like it follow."""
        if self._leaving:
            self._end_leaving()
        batch, num_tokens = self._batch, self._scheduler.schedule()
        if num_tokens:
            self._num_steps = 1
            self._is_input_step = True
            self.next_s = self._start_s + self.rates.duration_s(batch.num, batch.num_context, num_tokens)
            return
        if not batch.num:
            self._num_steps = 0
            self.next_s = inf
            return
        num_steps = batch.num_steps_to_end()
        # Blocks for a part of the stretch, and then see: whoever came last gives up its own.
        while num_steps > 1 and not self._scheduler.has_room_for(num_steps):
            num_steps //= 2
        self._num_steps = num_steps
        self.next_s = self._start_s + batch.duration_s(num_steps)
