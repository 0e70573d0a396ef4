"""What the harness asks of a model server, whether it starts the server itself or finds it running."""

from types import TracebackType
from typing import Protocol, Self


class ModelServer(Protocol):
    """An OpenAI-compatible server that is up inside its `async with` block."""

    @property
    def base_url(self) -> str:
        """The address that a chat client takes; it ends in /v1."""
        ...

    async def check_alive(self) -> None:
        """Raise BackendError if the server has gone."""
        ...

    async def counters(self) -> dict[str, float]:
        """Return what the server has counted so far, by the names of harness/backends/metrics_endpoint.py; empty if it
        does not say."""
        ...

    def cpu_seconds(self) -> float | None:
        """Return the CPU time of all the server's processes so far, in seconds, or None where it cannot be seen."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
