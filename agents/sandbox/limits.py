"""What a sandboxed command may use, and the part of it that the kernel holds per process."""

import os
import re
from dataclasses import dataclass, fields
from enum import StrEnum

from precall.errors import ConfigError

MIB = 2**20


class Limit(StrEnum):
    """The limit that stopped a command from outside. What a resource limit refuses, the command sees as an error."""

    TIME = "time"
    MEMORY = "memory"
    PROCESSES = "processes"
    SIZE = "size"  # of the workspace, or of a fork
    MACHINE = "machine"  # the machine's own memory or disk was about to run out


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one sandboxed command; MiB are 2**20 bytes.

    `max_memory_mib` bounds the address space of each process and what all of them hold together. `max_processes`
    counts threads. `max_tmp_mib` is the size of /tmp and that of /dev/shm. `max_cpu_s` is each process's own.
    `max_output_kib` of stdout and as much of stderr are kept: the first and the last half.
    """

    max_memory_mib: int = 2048
    max_processes: int = 64
    max_open_files: int = 256
    max_file_mib: int = 256
    max_size_mib: int = 1024
    max_tmp_mib: int = 64
    max_cpu_s: int = 600
    max_output_kib: int = 256

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value < 1:
                raise ConfigError(f"{field.name} of the sandbox is {value}; it must be at least 1.")

    def prlimit(self) -> list[str]:
        """Return the command that sets the resource limits and then runs what follows it.

        It has to run inside: since Linux 5.14 processes are counted per user namespace, so that within the sandbox's
        own each sandbox is counted alone. Before, all that a user runs counted, and the watcher has to do.
        """
        version = re.match(r"(\d+)\.(\d+)", os.uname().release)
        is_counted_alone = version is not None and (int(version[1]), int(version[2])) >= (5, 14)
        return [
            "prlimit",
            f"--as={self.max_memory_mib * MIB}",
            *([f"--nproc={self.max_processes}"] if is_counted_alone else []),
            f"--nofile={self.max_open_files}",
            f"--fsize={self.max_file_mib * MIB}",
            f"--cpu={self.max_cpu_s}",
            "--core=0",
            "--",
        ]
