"""Server processes that the harness starts: in a group of their own, logged to a file, awaited, watched and ended.

Between the harness and a server stands `supervise.py`, the only process that the harness starts and signals itself.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import psutil

from harness.backends.ports import HOST, check_port, free_port
from harness.backends.start_display import StartDisplay
from harness.backends.supervise import KILL_LIMIT_S
from precall.errors import BackendError, ConfigError

HEALTH_INTERVAL_S = 0.1
HEALTH_TIMEOUT_S = 2.0
EXIT_INTERVAL_S = 0.02
NUM_QUOTED_LINES = 20
NUM_TAIL_BYTES = 65536
# What a library of vLLM's prints at every exit, however it came about: enough lines to hide the reason.
EXIT_NOISE = ("nanobind: ", " - leaked ", " - ... skipped", "See https://nanobind.")


class ServerProcess:
    """One server and all its child processes, up inside the `async with` block.

    `command` makes the command line from the port; `port` None has a free one chosen at the start. `environment` is
    added to this process's own. `start_cores` are the cores that the server may use (none: those of this process);
    `niceness` above 0 has it give way to other processes on them (0 to 19).
    A port that is in use raises ConfigError here, before anything starts. The log is appended to.
    """

    def __init__(
        self,
        *,
        name: str,
        command: Callable[[int], Sequence[str]],
        log_path: Path,
        environment: Mapping[str, str] | None = None,
        port: int | None = None,
        start_timeout_s: float = 300.0,
        stop_timeout_s: float = 10.0,
        start_cores: frozenset[int] = frozenset(),
        niceness: int = 0,
        display: StartDisplay | None = None,
    ) -> None:
        if start_timeout_s <= 0:
            raise ConfigError(f"start_timeout_s of the {name} server is {start_timeout_s}; it must be > 0.")
        if port is not None:
            check_port(name, port)
        self.name = name
        self.log_path = log_path
        self._command = command
        self._environment = dict(environment or {})
        self._given_port = port
        self._port: int | None = None
        self._start_timeout_s = start_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._start_cores = start_cores
        self._niceness = niceness
        self._display = display or StartDisplay()
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def root_url(self) -> str:
        """The server's address without a path."""
        assert self._port is not None, f"the {self.name} server has not been started"
        return f"http://{HOST}:{self._port}"

    @property
    def pid(self) -> int:
        """The supervisor's process id; the server's processes are its descendants and share its process group."""
        assert self._supervisor is not None, f"the {self.name} server is not running"
        return self._supervisor.pid

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as on_failure:
            on_failure.push_async_callback(self.stop)
            self._spawn()
            with self._display.row(self.name) as show:
                await self._wait_healthy(show)
            on_failure.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """End the server: SIGTERM to its group, `stop_timeout_s`, SIGKILL to what is left. When cancelled, SIGKILL."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None:
            return
        try:
            assert supervisor.stdin is not None
            supervisor.stdin.close()  # the supervisor does the rest
            until_s = time.monotonic() + self._stop_timeout_s + 2 * KILL_LIMIT_S
            while _exit_code(supervisor) is None and time.monotonic() < until_s:  # noqa: ASYNC110 - nothing to await
                await asyncio.sleep(EXIT_INTERVAL_S)
        finally:
            # Not reaped yet, so the group's id is still ours, even when no process is left in it.
            with suppress(ProcessLookupError):
                os.killpg(supervisor.pid, signal.SIGKILL)
            supervisor.wait()

    async def check_alive(self) -> None:
        """Raise BackendError, with the end of the log, if the server has ended."""
        code = None if self._supervisor is None else _exit_code(self._supervisor)
        if self._supervisor is None or code is not None:
            how = "is not running" if code is None else f"ended with {_describe(code)} while it was needed"
            raise BackendError(f"The {self.name} server {how}; it must stay up for the whole run.{self.quote_log()}")

    def cpu_seconds(self) -> float:
        """Return the CPU time, user and system, of every process the server has had so far, in seconds."""
        total_s = 0.0
        for process in self.tree():
            with suppress(psutil.NoSuchProcess):
                total_s += sum(process.cpu_times()[:4])  # own user and system, then those of reaped children
        return total_s

    def tree(self) -> list[psutil.Process]:
        """Return the supervisor, then all its descendants, the server's main process first."""
        root = psutil.Process(self.pid)
        return [root, *root.children(recursive=True)]

    def quote_log(self) -> str:
        """Return the last lines of the log and its path, to be put at the end of a message."""
        lines = self._tail()[-NUM_QUOTED_LINES:] or ["(empty)"]
        return "\n".join([" Its log ends with:", *(f"  | {line}" for line in lines), f"The whole log: {self.log_path}"])

    def _spawn(self) -> None:
        assert self._supervisor is None, f"the {self.name} server is already running"
        self._port = free_port() if self._given_port is None else self._given_port
        supervise = [sys.executable, "-I", "-S", str(Path(__file__).with_name("supervise.py"))]
        supervise += ["--grace-s", str(self._stop_timeout_s), "--niceness", str(self._niceness)]
        if self._start_cores:
            supervise += ["--cores", ",".join(map(str, sorted(self._start_cores)))]
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._log_start = log.tell()
            self._supervisor = subprocess.Popen(
                [*supervise, "--", *self._command(self._port)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | self._environment,
                # Not a session of its own: the kernel may share processor time among sessions first, and only then heed
                # how nice a process is.
                process_group=0,
            )

    async def _wait_healthy(self, show: Callable[[str], None]) -> None:
        assert self._supervisor is not None
        url = f"{self.root_url}/health"
        until_s = time.monotonic() + self._start_timeout_s
        async with httpx.AsyncClient(timeout=HEALTH_TIMEOUT_S, trust_env=False) as client:
            while True:
                code = _exit_code(self._supervisor)
                if code is not None:
                    reason = f"ended with {_describe(code)} before {url} answered; it must stay up."
                    remedy = "Correct what its log names, then start again."
                    raise BackendError(f"The {self.name} server {reason} {remedy}{self.quote_log()}")
                with suppress(httpx.HTTPError):
                    if (await client.get(url)).is_success:
                        return
                if time.monotonic() > until_s:
                    rule = f"did not answer {url} within start_timeout_s = {self._start_timeout_s:g}"
                    remedy = "Raise start_timeout_s, or correct what its log names."
                    raise BackendError(f"The {self.name} server {rule}. {remedy}{self.quote_log()}")
                show((self._tail() or [""])[-1])
                await asyncio.sleep(HEALTH_INTERVAL_S)

    def _tail(self) -> list[str]:
        with self.log_path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, size - NUM_TAIL_BYTES))
            text = log.read().decode(errors="replace")
        return [line.rstrip() for line in text.splitlines() if line.strip() and not line.startswith(EXIT_NOISE)]


def _exit_code(supervisor: subprocess.Popen[bytes]) -> int | None:
    """Return the exit status, or None while it runs. Leaves it unreaped, so that its id cannot pass to a stranger."""
    if supervisor.returncode is not None:
        return supervisor.returncode
    ended = os.waitid(os.P_PID, supervisor.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if ended is None:
        return None
    return ended.si_status if ended.si_code == os.CLD_EXITED else 128 + ended.si_status


def _describe(code: int) -> str:
    names = {128 + number: number.name for number in signal.Signals}
    return f"exit status {code} ({names[code]})" if code in names else f"exit status {code}"
