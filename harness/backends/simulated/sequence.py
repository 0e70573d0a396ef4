"""A sequence inside a simulated engine, and what follows when it has generated what it was asked for."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from enum import Enum, auto

from harness.backends.simulated.kv_cache import Node, Segment


class State(Enum):
    WAITING = auto()  # in the queue
    INPUT = auto()  # its input is being computed
    DECODING = auto()
    HELD = auto()  # keeps its blocks and computes nothing
    ENDED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Goes:
    """The sequence goes on: `num_input_tokens` are computed at once, as a prompt's are, then `num_tokens` are
    generated. Without input tokens it decodes on in the same batch. With them, the first is the last token generated,
    which has not been computed; `input_key` addresses the others and `key` what is generated next, should a prompt
    bring them again. With `is_drafted` the others are tokens of its own that were drafted, and are verified here."""

    num_tokens: int
    num_input_tokens: int = 0
    input_key: Hashable = None
    key: Hashable = None
    is_drafted: bool = False


class Hold(Enum):
    """The sequence keeps its place until `resume` or `abort`."""

    HOLD = auto()


HOLD = Hold.HOLD


@dataclass(slots=True, kw_only=True, eq=False)
class Sequence:
    """`num_samples` sequences of one prompt that decode in lockstep and end together. The engine alone changes it.
    `num_prompt_tokens` are those of `path`, which grows as inputs follow; `num_generated` those since the last input.

    `on_end` is called when `num_tokens` have been generated, with the time, and says what follows; None ends it.
    """

    path: tuple[Segment, ...]
    num_tokens: int
    num_samples: int
    on_end: "Callable[[Sequence, float], Goes | Hold | None]"
    key: Hashable
    num_prompt_tokens: int
    state: State = State.WAITING
    sent_s: float = 0.0
    first_token_s: float | None = None
    num_cached_tokens: int = 0
    num_generated: int = 0
    num_preemptions: int = 0
    # Tokens in the KV cache, at step `since_step` if it decodes; input tokens that are still to be computed.
    num_context: int = 0
    since_step: int = 0
    num_input_left: int = 0
    num_left: int = 0  # tokens still to be generated, as of the input's end
    ends_at_step: int = -1
    slot: int = 0  # it takes a block in the steps that are `slot` modulo the block size
    num_own_blocks: int = 0
    nodes: list[Node] = field(default_factory=list)
