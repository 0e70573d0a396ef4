"""What no resource limit counts, looked at from outside while a command runs: the sum over its processes, the size of
what it has written, and what is left of the machine."""

import asyncio
import os
import subprocess
import time
from pathlib import Path

from agents.sandbox.launch import ReadOnly, View
from agents.sandbox.limits import MIB, Limit, Limits
from agents.sandbox.overlay import Overlay

INTERVAL_S = 0.1
_SIZE_INTERVAL_S = 0.5
_MACHINE_RESERVE_BYTES = 256 * MIB
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


async def watch(init: int | None, view: View, limits: Limits) -> Limit:
    """Return as soon as a limit is exceeded; until then, look every INTERVAL_S.

    `init` is the first process of the sandbox, or None where it is not known; then no process is counted.
    """
    size_due_s = time.monotonic() + _SIZE_INTERVAL_S
    while True:
        await asyncio.sleep(INTERVAL_S)
        if init is not None and (limit := exceeded_by_processes(init, limits)):
            return limit
        if is_machine_short(written_folder(view)):
            return Limit.MACHINE
        started_s = time.monotonic()
        if started_s >= size_due_s:
            if await asyncio.to_thread(is_too_large, view, limits):
                return Limit.SIZE
            ended_s = time.monotonic()
            size_due_s = ended_s + max(_SIZE_INTERVAL_S, 20 * (ended_s - started_s))  # at most 5 % of a core


def written_folder(view: View) -> Path:
    """Return the folder that a command's writes go to, or would go to."""
    match view:
        case Overlay():
            return view.upper
        case ReadOnly():
            return view.folder
        case Path():
            return view


def is_too_large(view: View, limits: Limits) -> bool:
    """Whether what the command could write holds more than `max_size_mib`."""
    return not isinstance(view, ReadOnly) and tree_bytes(written_folder(view)) > limits.max_size_mib * MIB


def tree_bytes(folder: Path) -> int:
    """Return the disk space that `folder` takes; no link is followed, a hard-linked file counts once."""
    # du walks by descriptors: a program that swaps a folder for a link, or nests deep, leads it nowhere.
    ran = subprocess.run(["du", "-sxB1", "--", folder], capture_output=True, text=True, check=False)
    return int(ran.stdout.split()[0]) if ran.stdout else 0  # what vanishes meanwhile makes it complain, no more


def exceeded_by_processes(init: int, limits: Limits) -> Limit | None:
    """Return the limit that the sandbox's processes exceed together. Its own /proc lists them all and no others."""
    proc = f"/proc/{init}/root/proc"
    if _knows_this_process(proc):
        return None  # it is still being set up, and its root is still this machine's
    try:
        pids = [name for name in os.listdir(proc) if name.isdigit()]
    except OSError:
        return None  # it has ended
    if len(pids) > limits.max_processes + 2:  # bubblewrap's two
        return Limit.PROCESSES
    most = limits.max_memory_mib * MIB
    # Resident pages first, in which shared ones count often; only where that is too much, each page once.
    if sum(_resident_bytes(f"{proc}/{pid}/statm") for pid in pids) <= most:
        return None
    return Limit.MEMORY if sum(_own_bytes(f"{proc}/{pid}/smaps_rollup") for pid in pids) > most else None


def _knows_this_process(proc: str) -> bool:
    try:
        return bool(os.readlink(f"{proc}/self"))
    except OSError:
        return False


def _resident_bytes(statm: str) -> int:
    try:
        with open(statm, "rb") as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _own_bytes(smaps_rollup: str) -> int:
    try:
        with open(smaps_rollup, "rb") as file:
            return sum(int(line.split()[1]) * 1024 for line in file if line.startswith(b"Pss:"))
    except OSError:
        return 0


def is_machine_short(folder: Path) -> bool:
    """Whether the memory, or the disk that `folder` is on, is down to its last 256 MiB."""
    try:
        disk = os.statvfs(folder)
        if disk.f_bavail * disk.f_frsize < _MACHINE_RESERVE_BYTES:
            return True
        with open("/proc/meminfo", "rb") as file:
            available = next((line for line in file if line.startswith(b"MemAvailable:")), None)
    except OSError:
        return False
    return available is not None and int(available.split()[1]) * 1024 < _MACHINE_RESERVE_BYTES
