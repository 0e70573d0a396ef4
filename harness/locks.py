"""Who may run a folder: one process at a time, by a lock that the kernel takes back when its owner ends, however it
ends. It saves work; what makes a result unique is how records.py names it."""

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from harness.records import RUNNING, RunFolder


@contextmanager
def held(folder: RunFolder) -> Iterator[bool]:
    """Hold the lock of a run folder inside the block. Yields False, at once, where another process holds it."""
    path = folder.path.parent / RUNNING / f"{folder.path.name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without flock it would wait for the owner of a file, which a killed process leaves behind.
    lock = FileLock(path, blocking=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        if folder.is_finished:
            path.unlink(missing_ok=True)  # who waits for this file looks for the result first
        lock.release()
