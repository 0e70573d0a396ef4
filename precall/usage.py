"""What the requests to an endpoint have taken: tokens as the endpoint counts them, estimates where it did not say."""

from dataclasses import dataclass
from typing import Any

BYTES_PER_TOKEN = 3
"""Of a request as JSON; English text has 4 to 5 and JSON some 3, so that an estimate is rather too high."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one request, None where the endpoint did not say. Cached tokens are among those of the prompt,
    reasoning tokens among those of the output, though they may never have been streamed."""

    num_prompt_tokens: int | None = None
    num_cached_prompt_tokens: int | None = None
    num_output_tokens: int | None = None
    num_reasoning_tokens: int | None = None

    @property
    def num_tokens(self) -> int | None:
        """Prompt and output together."""
        if self.num_prompt_tokens is None or self.num_output_tokens is None:
            return None
        return self.num_prompt_tokens + self.num_output_tokens

    @classmethod
    def parse(cls, usage: Any) -> "Usage":
        """Return what an OpenAI `CompletionUsage` says. A count that is none, such as a text or a negative number, is
        taken as not said; so is a part that is larger than its whole."""
        num_prompt, num_output = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
        cached = _count(getattr(usage, "prompt_tokens_details", None), "cached_tokens")
        reasoning = _count(getattr(usage, "completion_tokens_details", None), "reasoning_tokens")
        return cls(
            num_prompt_tokens=num_prompt,
            num_cached_prompt_tokens=_within(cached, num_prompt),
            num_output_tokens=num_output,
            num_reasoning_tokens=_within(reasoning, num_output),
        )


def _count(holder: Any, name: str) -> int | None:
    value = holder.get(name) if isinstance(holder, dict) else getattr(holder, name, None)
    return value if type(value) is int and value >= 0 else None


def _within(part: int | None, whole: int | None) -> int | None:
    return part if part is not None and whole is not None and part <= whole else None


def estimated_tokens(num_bytes: int) -> int:
    """Return about how many tokens a request of this size has as its prompt."""
    return -(-num_bytes // BYTES_PER_TOKEN)


@dataclass(slots=True, kw_only=True)
class UsageMeter:
    """Adds up all requests of a client. `num_requests` were sent, of them `num_retries` because one before had failed;
    `num_refused` got an error in the place of an answer, and are taken to cost nothing.

    Of `num_uncounted` requests the usage never came: they were cut off, or the endpoint does not send it. For those
    the `num_estimated_...` tokens stand: the prompt from its size, and the output as the tokens streamed or, if that is
    more, the mean of the counted requests, since reasoning that was cut off was never seen.
    `waited_s` passed before requests, for a rate limit or after a failure.
    """

    num_requests: int = 0
    num_retries: int = 0
    num_refused: int = 0
    num_counted: int = 0
    num_uncounted: int = 0
    num_prompt_tokens: int = 0
    num_cached_prompt_tokens: int = 0
    num_output_tokens: int = 0
    num_reasoning_tokens: int = 0
    num_estimated_prompt_tokens: int = 0
    num_estimated_output_tokens: int = 0
    waited_s: float = 0.0

    @property
    def mean_output_tokens(self) -> int:
        """Of the counted requests, rounded up; 0 before the first."""
        return -(-self.num_output_tokens // self.num_counted) if self.num_counted else 0

    def count(self, usage: Usage) -> None:
        """Add a request whose tokens the endpoint has counted."""
        assert usage.num_prompt_tokens is not None and usage.num_output_tokens is not None, f"{usage} is no count"
        self.num_counted += 1
        self.num_prompt_tokens += usage.num_prompt_tokens
        self.num_cached_prompt_tokens += usage.num_cached_prompt_tokens or 0
        self.num_output_tokens += usage.num_output_tokens
        self.num_reasoning_tokens += usage.num_reasoning_tokens or 0

    def estimate(self, num_request_bytes: int, num_streamed_tokens: int) -> None:
        """Add a request that was sent and whose usage never came."""
        self.num_uncounted += 1
        self.num_estimated_prompt_tokens += estimated_tokens(num_request_bytes)
        self.num_estimated_output_tokens += max(num_streamed_tokens, self.mean_output_tokens)
