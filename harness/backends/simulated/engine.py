"""A model of one engine with continuous batching, in virtual time; no event loop, no clock of its own.

The engine computes in steps (harness/backends/simulated/rates.py). While the batch stays as it is, steps are not
looked at one by one: the engine knows the next boundary at which something happens - a sequence has generated what it
was asked for, an input has been computed, somebody came or left during the step that then ends, KV blocks run out -
and goes there at once. So a turn costs a few boundaries, whatever its length and however many others there are.

As in vLLM's scheduler: sequences that run are served before those that wait, both first come, first served; prompts
are computed in chunks, in the room that decoding leaves of a step's tokens; when no block is left, the sequence that
came last gives up its own and computes everything anew.
"""

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from math import inf

from harness.backends.simulated.batch import DecodingBatch
from harness.backends.simulated.kv_cache import KVCache, Segment
from harness.backends.simulated.rates import EngineLimits, StepRates
from harness.backends.simulated.sequence import Goes, Hold, Sequence, State
from precall.errors import ConfigError


@dataclass(slots=True, kw_only=True)
class Counts:
    """What an engine did. `num_events` counts boundaries, the work of the simulation itself."""

    num_events: int = 0
    num_steps: int = 0
    num_decode_steps: int = 0
    num_input_tokens: int = 0
    num_decoded_tokens: int = 0
    num_cached_tokens: int = 0
    num_preemptions: int = 0


class BatchingEngine:
    """Call `submit`, `abort` and `resume` at times that do not decrease, and `advance` when `next_s` has come, before
    any of them at a later time."""

    def __init__(self, rates: StepRates, limits: EngineLimits) -> None:
        self.rates = rates
        self.limits = limits
        self.counts = Counts()
        self.kv = KVCache(limits=limits)
        self.next_s = inf
        self._batch = DecodingBatch(rates, limits.block_size)
        self._waiting: deque[Sequence] = deque()
        self._running: dict[Sequence, None] = {}  # in the order in which they came, without those that are held
        self._num_seats = 0  # of all that are not waiting
        self._inputs: list[Sequence] = []  # those of them that have input left
        self._leaving: list[Sequence] = []
        # The stretch: from `_start_s`, `_num_steps` steps of one batch.
        self._start_s = 0.0
        self._num_steps = 0
        self._is_input_step = False
        self._is_at_boundary = False
        self._has_preempted = False

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
        num_blocks = self._blocks(num_prompt_tokens + num_tokens) * num_samples
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
        self._waiting.append(sequence)
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
        self._go_on(sequence, goes)
        self._disturb(now_s)

    def advance(self) -> None:
        """Go to the boundary at `next_s`: end what ends there, and plan the next stretch."""
        now_s, num_steps = self.next_s, self._num_steps
        counts, batch = self.counts, self._batch
        counts.num_events += 1
        counts.num_steps += num_steps
        if batch.num:
            self.kv.take(batch.num_blocks_in(num_steps))
            counts.num_decode_steps += num_steps
            counts.num_decoded_tokens += num_steps * batch.num
        batch.pass_steps(num_steps)
        self._start_s = now_s
        self._num_steps = 0
        self._is_at_boundary = True
        self._end_leaving()
        if self._is_input_step:
            self._is_input_step = False
            self._end_inputs(now_s)
        while (sequence := batch.pop_ended()) is not None:
            self._generated(sequence, now_s)
        self._is_at_boundary = False
        self._plan()

    # A sequence's way.

    def _end_leaving(self) -> None:
        for sequence in self._leaving:
            if sequence.state is not State.ENDED:
                self._end(sequence)
        self._leaving.clear()

    def _end_inputs(self, now_s: float) -> None:
        """Those whose input has been computed give their first token."""
        left = []
        for sequence in self._inputs:
            if sequence.state is not State.INPUT:
                continue
            if sequence.num_input_left:
                left.append(sequence)
                continue
            if sequence.first_token_s is None:
                sequence.first_token_s = now_s
            self._keep(sequence)
            self._batch.join(sequence)
        self._inputs = left

    def _generated(self, sequence: Sequence, now_s: float) -> None:
        follows = sequence.on_end(sequence, now_s)
        if isinstance(follows, Goes) and not follows.num_input_tokens:
            self._batch.decode_on(sequence, follows.num_tokens)
            return
        self._batch.leave(sequence)
        sequence.state = State.HELD
        del self._running[sequence]
        if follows is None:
            self._end(sequence)
        elif isinstance(follows, Goes):
            self._go_on(sequence, follows)

    def _go_on(self, sequence: Sequence, goes: Goes) -> None:
        assert goes.num_input_tokens > 0, "a sequence that has stopped needs an input"
        sequence.state = State.INPUT
        sequence.num_tokens = sequence.num_left = goes.num_tokens
        sequence.num_input_left = goes.num_input_tokens
        self._running[sequence] = None
        self._inputs.append(sequence)
        if goes.is_drafted:
            sequence.num_generated += goes.num_input_tokens - 1
            return
        num_old = sequence.num_context + 1 - sequence.num_prompt_tokens
        generated, put_in = Segment(sequence.key, num_old), Segment(goes.input_key, goes.num_input_tokens - 1)
        sequence.path = (*sequence.path, generated, put_in)
        sequence.num_prompt_tokens += num_old + goes.num_input_tokens - 1
        sequence.num_generated = 0
        sequence.key = object() if goes.key is None else goes.key

    def _end(self, sequence: Sequence) -> None:
        if sequence.state is State.DECODING:
            self._batch.leave(sequence)
        if sequence.num_context > sequence.num_prompt_tokens:
            generated = Segment(sequence.key, sequence.num_context - sequence.num_prompt_tokens)
            sequence.path = (*sequence.path, generated)
            self._keep(sequence)
        self._release(sequence)
        sequence.state = State.ENDED

    def _keep(self, sequence: Sequence) -> None:
        sequence.num_own_blocks -= self.kv.keep(sequence.path, sequence.nodes)

    def _release(self, sequence: Sequence) -> None:
        self.kv.give(sequence.num_own_blocks)
        self.kv.leave(sequence.nodes)
        sequence.num_own_blocks = 0
        sequence.nodes = []
        self._running.pop(sequence, None)
        self._num_seats -= sequence.num_samples

    # The scheduler.

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
        self._end_leaving()
        batch = self._batch
        while not self._has_room_for(1):
            self._preempt()
        num_tokens = self._schedule_inputs() if self._inputs or self._waiting else 0
        if num_tokens:
            self._num_steps = 1
            self._is_input_step = True
            self.counts.num_input_tokens += num_tokens
            self._has_preempted = False
            self.next_s = self._start_s + self.rates.duration_s(batch.num, batch.num_context, num_tokens)
            return
        self._has_preempted = False
        if not batch.num:
            self._num_steps = 0
            self.next_s = inf
            return
        num_steps = batch.num_steps_to_end()
        # Blocks for a part of the stretch, and then see: whoever came last gives up its own.
        while num_steps > 1 and not self._has_room_for(num_steps):
            num_steps //= 2
        self._num_steps = num_steps
        self.next_s = self._start_s + batch.duration_s(num_steps)

    def _schedule_inputs(self) -> int:
        kv, limits = self.kv, self.limits
        # Decoding takes its blocks first.
        num_reserved = self._batch.num_blocks_in(1)
        room = limits.max_batched_tokens - self._batch.num
        num_tokens = 0
        for sequence in self._inputs:
            num = min(sequence.num_input_left, room)
            num_blocks = self._blocks(sequence.num_context + num) - self._blocks(sequence.num_context)
            if num <= 0 or num_blocks > kv.num_available - num_reserved:
                break
            self._compute(sequence, num, num_blocks)
            room -= num
            num_tokens += num
        # In a step in which somebody had to give way, nobody is let in, unless nothing else is left to do.
        is_open = not self._has_preempted or not (num_tokens or self._batch.num)
        while is_open and self._waiting and room > 0:
            sequence = self._waiting[0]
            if sequence.state is State.ENDED:
                self._waiting.popleft()
                continue
            if self._num_seats + sequence.num_samples > limits.max_num_seqs:
                break
            nodes, num_cached = kv.match(sequence.path)
            num_context = sequence.num_prompt_tokens + sequence.num_generated
            num = min(num_context - num_cached, room)
            shared = num_cached // limits.block_size
            num_blocks = self._blocks(num_cached + num) - shared
            num_woken = sum(node.num_kept for node in nodes if node.num_users == 0)
            if num_blocks + num_woken > kv.num_available - num_reserved:
                break
            self._waiting.popleft()
            kv.use(nodes)
            sequence.nodes = nodes
            sequence.state = State.INPUT
            sequence.num_context = sequence.num_cached_tokens = num_cached
            sequence.num_input_left = num_context - num_cached
            self.counts.num_cached_tokens += num_cached
            self._running[sequence] = None
            self._num_seats += sequence.num_samples
            self._inputs.append(sequence)
            self._compute(sequence, num, num_blocks)
            room -= num
            num_tokens += num
        if not num_tokens and not self._batch.num and self._inputs:
            # All that run wait for blocks: the last to come gives way.
            self._preempt()
            return self._schedule_inputs()
        return num_tokens

    def _compute(self, sequence: Sequence, num_tokens: int, num_blocks: int) -> None:
        self.kv.take(num_blocks)
        sequence.num_own_blocks += num_blocks
        sequence.num_context += num_tokens
        sequence.num_input_left -= num_tokens

    def _preempt(self) -> None:
        sequence = next(reversed(self._running))
        if sequence.state is State.DECODING:
            self._batch.leave(sequence)
        elif sequence.state is State.INPUT:
            self._inputs.remove(sequence)
        sequence.state = State.WAITING
        sequence.num_preemptions += 1
        self._has_preempted = True
        self.counts.num_preemptions += 1
        self._release(sequence)
        self._waiting.appendleft(sequence)

    def _has_room_for(self, num_steps: int) -> bool:
        batch, num_available = self._batch, self.kv.num_available
        # At most this many, which is quick to say and mostly enough.
        if batch.num * (num_steps // self.limits.block_size + 1) <= num_available:
            return True
        return batch.num_blocks_in(num_steps) <= num_available

    def _blocks(self, num_tokens: int) -> int:
        return -(-num_tokens // self.limits.block_size)
