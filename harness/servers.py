"""The servers of a sweep: started once per distinct setting, kept while the next cells need them, stopped at the
end."""

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.backends.external_server import ExternalServer, ExternalServerSettings
from harness.backends.protocol import ModelServer
from harness.backends.simulated.model_server import SimulatedModelServer, SimulatedServerSettings
from harness.backends.vllm_server import VllmServer
from harness.backends.vllm_settings import VllmServerSettings
from harness.build import ServerSettings


class ServerPool:
    """Holds the running servers by their settings. It outlives single experiments, so that the jobs of a multirun share
    servers too."""

    def __init__(self) -> None:
        self._running: dict[ServerSettings, ModelServer] = {}
        self._client_cores = os.sched_getaffinity(0)

    @property
    def running(self) -> list[ServerSettings]:
        return list(self._running)

    async def provide(
        self, settings: list[ServerSettings], log_folder: Path, target_port: int | None = None
    ) -> list[ModelServer]:
        """Return running servers with these settings, in their order; others that run are stopped first, since they
        would take cores or memory. Starts one after the other. Raises what a start raises."""
        for other in [running for running in self._running if running not in settings]:
            await self._stop(other)
        for wanted in settings:
            if wanted in self._running:
                continue
            os.sched_setaffinity(0, self._client_cores)
            if isinstance(wanted, ExternalServerSettings):
                server: ModelServer = ExternalServer(wanted)
            elif isinstance(wanted, SimulatedServerSettings):
                server = SimulatedModelServer(wanted)
            else:
                port = target_port if wanted.name == "target" else None
                server = VllmServer(wanted, log_folder=log_folder, port=port)
            await server.__aenter__()
            self._running[wanted] = server
        self._keep_off_compute_cores(settings)
        return [self._running[wanted] for wanted in settings]

    def _keep_off_compute_cores(self, settings: list[ServerSettings]) -> None:
        cores = {core for wanted in settings if isinstance(wanted, VllmServerSettings) for core in wanted.api_cores}
        os.sched_setaffinity(0, cores or self._client_cores)

    async def _stop(self, settings: ServerSettings) -> None:
        await self._running.pop(settings).__aexit__(None, None, None)

    async def aclose(self) -> None:
        """Stop every server."""
        os.sched_setaffinity(0, self._client_cores)
        for settings in list(self._running):
            await self._stop(settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
