"""A vLLM server that the harness starts on this machine, from its settings to its last process."""

import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from importlib.metadata import entry_points
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from harness.backends.cores import bind, check_cores
from harness.backends.metrics_endpoint import scrape
from harness.backends.processes import ServerProcess
from harness.backends.start_display import StartDisplay
from harness.backends.vllm_settings import PLUGIN, PLUGIN_GROUP, VllmServerSettings, command, environment
from precall.errors import BackendError, ConfigError

CHECKOUT = Path(__file__).parents[2]
# The titles that vLLM gives its processes. The workers compute where there are some, else the engine cores do.
COMPUTING_TITLES = ("VLLM::Worker", "VLLM::EngineCore")


class VllmServer:
    """Starts the server on entry, ends all its processes on exit. A port that is in use raises ConfigError at once."""

    def __init__(
        self,
        settings: VllmServerSettings,
        *,
        log_folder: Path,
        port: int | None = None,
        display: StartDisplay | None = None,
    ) -> None:
        check_plugin()
        check_cores(f"{settings.name}.cores", settings.cores)
        check_cores(f"{settings.name}.api_cores", settings.api_cores)
        self.settings = settings
        # Modules that the settings name may lie in the checkout, of which `precall` alone is installed.
        path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
        is_split = settings.cores and settings.api_cores
        self._process = ServerProcess(
            name=settings.name,
            command=lambda chosen_port: command(settings, chosen_port),
            log_path=log_folder / f"{settings.name}.log",
            environment={"PYTHONPATH": path} | environment(settings),
            port=port,
            start_timeout_s=settings.start_timeout_s,
            start_cores=frozenset(settings.cores + settings.api_cores) if is_split else frozenset(),
            niceness=settings.niceness,
            display=display,
        )

    @property
    def base_url(self) -> str:
        return f"{self._process.root_url}/v1"

    @property
    def log_path(self) -> Path:
        return self._process.log_path

    @property
    def pid(self) -> int:
        """The root of the server's process tree, which is also its process group."""
        return self._process.pid

    async def check_alive(self) -> None:
        """Raise BackendError, with the end of the log, if the server has ended."""
        await self._process.check_alive()

    async def counters(self) -> dict[str, float]:
        return await scrape(self.base_url)

    def cpu_seconds(self) -> float:
        """Return the CPU time of all the server's processes since their start, in seconds."""
        return self._process.cpu_seconds()

    def tree(self) -> list[psutil.Process]:
        """Return the server's processes, the supervisor first."""
        return self._process.tree()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as on_failure:
            await on_failure.enter_async_context(self._process)
            self._bind()
            on_failure.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._process.stop()

    def _bind(self) -> None:
        """Put the computing processes on `cores` and the others on `api_cores`.

        Now, not at the start: the engine core inherits what the API process has, and the environment that binds OpenMP
        threads binds the API process too.
        """
        if not self.settings.cores and not self.settings.api_cores:
            return
        titles: dict[int, str] = {}
        for process in self.tree():
            with suppress(psutil.NoSuchProcess):
                titles[process.pid] = " ".join(process.cmdline())
        computing = computing_processes(titles)
        if not computing:
            what = f"The {self.settings.name} server has no process titled {' or '.join(COMPUTING_TITLES)}"
            raise BackendError(
                f"{what}; binding to cores needs one. Install setproctitle, or leave cores and api_cores empty."
            )
        for pid in titles:
            cores = self.settings.cores if pid in computing else self.settings.api_cores
            if cores:
                bind(pid, cores)


def check_plugin() -> None:
    """Raise ConfigError unless vLLM will find the plugin that counts steps; it says nothing when it does not."""
    if PLUGIN not in entry_points(group=PLUGIN_GROUP).names:
        remedy = "Run `make setup`, or `pip install --no-deps -e .` in the checkout"
        what = f"The entry point {PLUGIN} of {PLUGIN_GROUP} is missing"
        raise ConfigError(f"{what}; precall must be installed. {remedy}.")


def computing_processes(titles: Mapping[int, str]) -> Sequence[int]:
    """Return the ids of the processes that run the model, given the title of every process of the server."""
    for title in COMPUTING_TITLES:
        found = [pid for pid, text in titles.items() if text.startswith(title)]
        if found:
            return found
    return []
