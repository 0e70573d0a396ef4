"""Who computes what in the next step of a simulated engine: the queue, those that run, and their KV blocks.

As in vLLM's scheduler: sequences that run are served before those that wait, both first come, first served; prompts
are computed in chunks, in the room that decoding leaves of a step's tokens; when no block is left, the sequence that
came last gives up its own and computes everything anew.
"""

from collections import deque
from dataclasses import dataclass

from harness.backends.simulated.batch import DecodingBatch
from harness.backends.simulated.kv_cache import KVCache, Segment
from harness.backends.simulated.rates import EngineLimits
from harness.backends.simulated.sequence import Goes, Sequence, State


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


class Scheduler:
    """Holds every sequence that is not with the client. `batch` are those that decode."""

    def __init__(self, limits: EngineLimits, batch: DecodingBatch) -> None:
        self.limits = limits
        self.counts = Counts()
        self.kv = KVCache(limits=limits)
        self.batch = batch
        self._waiting: deque[Sequence] = deque()
        self._running: dict[Sequence, None] = {}  # in the order in which they came, without those that are held
        self._num_seats = 0  # of all that are not waiting
        self._inputs: list[Sequence] = []  # those of them that have input left
        self._has_preempted = False

    # A sequence's way.

    def enqueue(self, sequence: Sequence) -> None:
        self._waiting.append(sequence)

    def end_inputs(self, now_s: float) -> None:
        """Those whose input has been computed give their first token."""
        left = []
        for sequence in self._inputs:
            if sequence.num_input_left:
                left.append(sequence)
                continue
            if sequence.first_token_s is None:
                sequence.first_token_s = now_s
            self._keep(sequence)
            self.batch.join(sequence)
        self._inputs = left

    def hold(self, sequence: Sequence) -> None:
        """Take a sequence that has generated what it was asked for out of the batch; it keeps its blocks."""
        self.batch.leave(sequence)
        sequence.state = State.HELD
        del self._running[sequence]

    def go_on(self, sequence: Sequence, goes: Goes) -> None:
        """Let a held sequence go on with an input."""
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

    def end(self, sequence: Sequence) -> None:
        """Let go of a sequence; what it computed stays in the prefix cache."""
        if sequence.state is State.DECODING:
            self.batch.leave(sequence)
        elif sequence.state is State.INPUT:
            self._inputs.remove(sequence)
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

    # A step.

    def schedule(self) -> int:
        """Choose the inputs of the next step, and return how many tokens they have. What decodes can go on for at least
        this step: whoever has no blocks for it has given way."""
        while not self.has_room_for(1):
            self._preempt()
        num_tokens = self._schedule_inputs() if self._inputs or self._waiting else 0
        self._has_preempted = False
        self.counts.num_input_tokens += num_tokens
        return num_tokens

    def pass_steps(self, num_steps: int) -> None:
        """Let the batch decode for `num_steps` steps, for which there is room."""
        counts, batch = self.counts, self.batch
        counts.num_steps += num_steps
        if batch.num:
            self.kv.take(batch.num_blocks_in(num_steps))
            counts.num_decode_steps += num_steps
            counts.num_decoded_tokens += num_steps * batch.num
        batch.pass_steps(num_steps)

    def has_room_for(self, num_steps: int) -> bool:
        """Whether there are blocks for so many steps of the batch as it is."""
        batch, num_available = self.batch, self.kv.num_available
        # At most this many, which is quick to say and mostly enough.
        if batch.num * (num_steps // self.limits.block_size + 1) <= num_available:
            return True
        return batch.num_blocks_in(num_steps) <= num_available

    def _schedule_inputs(self) -> int:
        kv, limits = self.kv, self.limits
        # Decoding takes its blocks first.
        num_reserved = self.batch.num_blocks_in(1)
        room = limits.max_batched_tokens - self.batch.num
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
        is_open = not self._has_preempted or not (num_tokens or self.batch.num)
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
        if not num_tokens and not self.batch.num and self._inputs:
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
            self.batch.leave(sequence)
        elif sequence.state is State.INPUT:
            self._inputs.remove(sequence)
        sequence.state = State.WAITING
        sequence.num_preemptions += 1
        self._has_preempted = True
        self.counts.num_preemptions += 1
        self._release(sequence)
        self._waiting.appendleft(sequence)

    def _blocks(self, num_tokens: int) -> int:
        return -(-num_tokens // self.limits.block_size)
