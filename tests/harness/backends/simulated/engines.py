"""Helpers: a simulated engine driven by hand, and what became of its sequences."""

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import inf

from harness.backends.simulated.engine import BatchingEngine
from harness.backends.simulated.kv_cache import Segment
from harness.backends.simulated.rates import EngineLimits, StepRates
from harness.backends.simulated.sequence import Goes, Hold, Sequence

# One second a step, a hundredth more for each prompt token: timelines can be computed by hand.
PLAIN = StepRates(step_s=1.0, prefill_token_s=0.01)


def nothing(sequence: Sequence, time_s: float) -> None:
    return None


@dataclass(slots=True)
class Bench:
    """An engine, actions at given times, and the log: (name, seconds of the first token, seconds of the end)."""

    engine: BatchingEngine
    log: list[tuple[str, float, float]] = field(default_factory=list)
    _actions: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _tie: count = field(default_factory=count)

    def at(self, time_s: float, action: Callable[[], None]) -> None:
        heappush(self._actions, (time_s, next(self._tie), action))

    def request(
        self,
        time_s: float,
        name: str,
        num_prompt_tokens: int,
        num_tokens: int,
        follows: Callable[[Sequence, float], Goes | Hold | None] = nothing,
        *,
        path: tuple[Segment, ...] | None = None,
        num_samples: int = 1,
        made: list[Sequence] | None = None,
    ) -> None:
        """Send a request at `time_s`; its prompt is its own unless `path` says otherwise."""

        def end(sequence: Sequence, end_s: float) -> Goes | Hold | None:
            assert sequence.first_token_s is not None
            self.log.append((name, round(sequence.first_token_s, 9), round(end_s, 9)))
            return follows(sequence, end_s)

        def send() -> None:
            prompt = path or (Segment(name, num_prompt_tokens),)
            sequence = self.engine.submit(time_s, prompt, num_tokens, end, num_samples=num_samples, key=f"{name} says")
            if made is not None:
                made.append(sequence)

        self.at(time_s, send)

    def run(self) -> None:
        while self._actions or self.engine.next_s < inf:
            if self._actions and self._actions[0][0] < self.engine.next_s:
                heappop(self._actions)[2]()
            else:
                self.engine.advance()


def bench(rates: StepRates = PLAIN, **limits: int | bool) -> Bench:
    return Bench(BatchingEngine(rates, EngineLimits(**limits)))  # type: ignore[arg-type]  # by name
