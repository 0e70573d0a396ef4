"""Rate limits of an endpoint, kept on this side: requests wait here instead of being refused there."""

import asyncio
from collections import deque
from dataclasses import dataclass

from precall.errors import ConfigError
from precall.events import now_s

WINDOW_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """What an endpoint allows in any 60 s; None is no limit. Tokens are those of prompt and output."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None

    def __post_init__(self) -> None:
        for name in ("requests_per_minute", "tokens_per_minute"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}; it must be at least 1, or None for no limit.")


@dataclass(slots=True, kw_only=True, eq=False)
class Admission:
    """A request that has been let through at `time_s`. Set `num_tokens` to what it took once that is known."""

    time_s: float
    num_tokens: int


class RateLimiter:
    """Lets requests through in the order in which they came, each as soon as the limits hold with it.

    A request that is above the limit by itself is let through when nothing else was in the last 60 s: the endpoint
    decides.
    """

    def __init__(self, limits: RateLimits) -> None:
        self._limits = limits
        self._admitted: deque[Admission] = deque()
        self._turn = asyncio.Lock()

    async def admit(self, num_tokens: int) -> Admission:
        """Wait until a request of about `num_tokens` may be sent, and count it."""
        async with self._turn:
            while (wait_s := self._wait_s(num_tokens)) > 0.0:  # noqa: ASYNC110  # only time makes room
                await asyncio.sleep(wait_s)
            admission = Admission(time_s=now_s(), num_tokens=num_tokens)
            self._admitted.append(admission)
            return admission

    def _wait_s(self, num_tokens: int) -> float:
        time_s = now_s()
        while self._admitted and self._admitted[0].time_s + WINDOW_S <= time_s:
            self._admitted.popleft()
        num_requests = len(self._admitted) + 1
        num_tokens += sum(admission.num_tokens for admission in self._admitted)
        free_s = time_s
        for admission in self._admitted:
            if self._holds(num_requests, num_tokens):
                break
            num_requests -= 1
            num_tokens -= admission.num_tokens
            free_s = admission.time_s + WINDOW_S
        return free_s - time_s

    def _holds(self, num_requests: int, num_tokens: int) -> bool:
        limits = self._limits
        return (limits.requests_per_minute is None or num_requests <= limits.requests_per_minute) and (
            limits.tokens_per_minute is None or num_tokens <= limits.tokens_per_minute
        )
