"""How long to wait between attempts."""

from dataclasses import dataclass, field
from random import Random
from typing import Iterator, Optional


@dataclass
class Backoff:
    """Waits that grow: `first_s`, then `factor` times the one before, up to `max_s`.

    With `jitter` each is drawn between (1 - jitter) and 1 times that, so that clients do not come back all at once.
    """

    first_s: float = 0.5
    factor: float = 2.0
    max_s: float = 60.0
    jitter: float = 0.0
    generator: Random = field(default_factory=Random, repr=False)

    def __post_init__(self) -> None:
        if self.first_s <= 0 or self.max_s < self.first_s:
            raise ValueError(f"first_s is {self.first_s} and max_s is {self.max_s}; 0 < first_s <= max_s must hold")
        if self.factor < 1:
            raise ValueError(f"factor is {self.factor}; it must be at least 1")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter is {self.jitter}; it must be from 0 to 1")

    def wait_s(self, attempt: int, retry_after_s: Optional[float] = None) -> float:
        """Return the seconds to wait after the attempt of this number, from 0.

        A server that says when to come back, `retry_after_s`, is listened to, up to `max_s`.
        """
        if attempt < 0:
            raise ValueError(f"attempt is {attempt}; it must be 0 or more")
        if retry_after_s is not None:
            return min(max(retry_after_s, 0.0), self.max_s)
        wait_s = min(self.first_s * self.factor**attempt, self.max_s)
        return wait_s * (1.0 - self.jitter * self.generator.random())

    def waits(self) -> Iterator[float]:
        """Yield the waits, without end."""
        attempt = 0
        while True:
            yield self.wait_s(attempt)
            attempt += 1
