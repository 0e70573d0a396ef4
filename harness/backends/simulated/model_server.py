"""A simulated engine in the place of a server that the harness starts (harness/backends/protocol.py)."""

from dataclasses import dataclass
from types import TracebackType
from typing import Self

from harness.backends.metrics_endpoint import (
    CONTEXT_TOKENS,
    DECODE_STEPS,
    GENERATION_TOKENS_SCHEDULED,
    PREFIX_CACHE_HITS,
    STEPS,
)
from harness.backends.simulated.core import OnCore
from harness.backends.simulated.rates import EngineModel
from harness.backends.simulated.server import SimulatedServer


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedServerSettings:
    """One simulated engine; equal settings mean the same server."""

    name: str
    model: EngineModel


class SimulatedModelServer:
    """Holds one engine per run: `fresh` makes it, so that no run finds what another has left in the cache."""

    def __init__(self, settings: SimulatedServerSettings) -> None:
        self.settings = settings
        self._server = SimulatedServer(settings.model)

    @property
    def base_url(self) -> str:
        return f"simulated://{self.settings.name}/v1"

    def fresh(self, place: OnCore | None = None) -> SimulatedServer:
        """Return a new engine, whose counters `counters` gives from now on."""
        self._server = SimulatedServer(self.settings.model, place)
        return self._server

    async def counters(self) -> dict[str, float]:
        counts = self._server.engine.counts
        return {
            STEPS: counts.num_steps,
            DECODE_STEPS: counts.num_decode_steps,
            CONTEXT_TOKENS: counts.num_input_tokens,
            GENERATION_TOKENS_SCHEDULED: counts.num_decoded_tokens,
            PREFIX_CACHE_HITS: counts.num_cached_tokens,
        }

    async def check_alive(self) -> None:
        pass

    def cpu_seconds(self) -> float | None:
        return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass
