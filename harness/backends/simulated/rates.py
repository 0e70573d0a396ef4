"""What a simulated engine costs and what it holds: seconds of a step by what is scheduled in it, and its limits."""

from bisect import bisect_left
from dataclasses import dataclass

from precall.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRates:
    """Seconds of one engine step. Source: ours.

    A step with b decoding sequences, whose contexts hold c tokens together, and p prompt tokens takes

        step_s + experts_s (1 - (1 - expert_share)^(b + p)) + sequence_s b + context_token_s c + prefill_token_s p

    `experts_s` is the time of reading all experts of a mixture once, of which each token picks `expert_share` at
    random; 0 for a dense model, whose weights are part of `step_s`. A step that only decodes counts as many sequences
    as the next of `padded_sizes`, as with CUDA graphs, which exist for some batch sizes alone; beyond the last, and
    where there are none, it counts what it has.
    """

    step_s: float
    sequence_s: float = 0.0
    experts_s: float = 0.0
    expert_share: float = 0.0
    context_token_s: float = 0.0
    prefill_token_s: float = 0.0
    padded_sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("step_s", "sequence_s", "experts_s", "expert_share", "context_token_s", "prefill_token_s"):
            value = getattr(self, name)
            if not 0.0 <= value < float("inf"):
                raise ConfigError(f"{name} is {value}; it must be 0 or more.")
        if self.step_s == 0.0:
            raise ConfigError("step_s is 0; it must be above 0, or a step would take no time.")
        if self.expert_share > 1.0:
            raise ConfigError(f"expert_share is {self.expert_share}; it must be at most 1.")

    def duration_s(self, num_decoding: int, num_context_tokens: float, num_prompt_tokens: int = 0) -> float:
        """Return the seconds of one step."""
        if not num_prompt_tokens:
            place = bisect_left(self.padded_sizes, num_decoding)
            num_decoding = self.padded_sizes[place] if place < len(self.padded_sizes) else num_decoding
        read_share = 1.0 - (1.0 - self.expert_share) ** (num_decoding + num_prompt_tokens)
        return (
            self.step_s
            + self.experts_s * read_share
            + self.sequence_s * num_decoding
            + self.context_token_s * num_context_tokens
            + self.prefill_token_s * num_prompt_tokens
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """What an engine holds at once: sequences, tokens of one step, and KV blocks of `block_size` tokens."""

    max_num_seqs: int = 256
    max_batched_tokens: int = 8192
    block_size: int = 16
    num_blocks: int = 1_000_000
    is_prefix_caching: bool = True

    def __post_init__(self) -> None:
        for name in ("max_num_seqs", "max_batched_tokens", "block_size", "num_blocks"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineModel:
    """One simulated engine: its steps, its limits, and the seconds that a message takes between client and engine, one
    way (the `o` of precall.cost_model.engine, paid twice per request); on a SharedCore, what one takes of it."""

    rates: StepRates
    limits: EngineLimits = EngineLimits()
    overhead_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.overhead_s < float("inf"):
            raise ConfigError(f"overhead_s is {self.overhead_s}; it must be 0 or more.")
