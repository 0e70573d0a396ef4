"""Which cores the processes of a server run on. Linux only."""

import os
from contextlib import suppress

from precall.errors import ConfigError


def check_cores(setting: str, cores: tuple[int, ...]) -> None:
    """Raise ConfigError if this process may not use one of `cores`. `setting` names them in the message."""
    allowed = os.sched_getaffinity(0)
    if not allowed.issuperset(cores):
        choice = ", ".join(map(str, sorted(allowed)))
        raise ConfigError(f"{setting} is {cores}; each must be a core that this process may use. Choose from {choice}.")


def bind(pid: int, cores: tuple[int, ...]) -> None:
    """Bind every thread of the process to `cores`. A thread that starts later inherits that from its parent."""
    for _ in range(2):  # once more for threads that an unbound one started meanwhile
        with suppress(FileNotFoundError, ProcessLookupError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                with suppress(ProcessLookupError):
                    os.sched_setaffinity(int(thread), cores)


def bound_cores(pid: int) -> dict[int, tuple[int, ...]]:
    """Return, for every thread of the process, the cores it may run on."""
    found = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        with suppress(ProcessLookupError):
            found[int(thread)] = tuple(sorted(os.sched_getaffinity(int(thread))))
    return found
