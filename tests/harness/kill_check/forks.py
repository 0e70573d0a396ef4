"""Sweeps in forks of this process, which start at once: what `subprocess.Popen` is to the command of the check."""

import os
from collections.abc import Callable
from contextlib import suppress


class Fork:
    """A fork that leads a process group, calls `work` and ends with what that returns."""

    def __init__(self, work: Callable[[], int]) -> None:
        self._status: int | None = None
        self.pid = os.fork()
        if self.pid:
            with suppress(ProcessLookupError, PermissionError):  # whoever comes first
                os.setpgid(self.pid, self.pid)
            return
        code = 99
        try:
            os.setpgid(0, 0)
            code = work()
        finally:
            os._exit(code)

    def poll(self) -> int | None:
        return self._reap(os.WNOHANG)

    def wait(self) -> int:
        status = self._reap(0)
        assert status is not None
        return status

    def _reap(self, options: int) -> int | None:
        if self._status is None:
            pid, status = os.waitpid(self.pid, options)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status
