"""A sweep that keeps a journal: which run folders begin and finish in it, and which servers start, a line each.

`python -m harness.kill_check.journal FILE OVERRIDES` is `python -m harness.run OVERRIDES` beside that.
"""

import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from harness import run
from harness.backends.protocol import ModelServer
from harness.build import ServerSettings
from harness.records import RunFolder
from harness.schema import Config
from harness.servers import ServerPool

BEGUN, FINISHED, SERVER = "begun", "finished", "server"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: what happened in which process to the run folder, or the server, of this name."""

    pid: int
    what: str
    name: str


def server_name(settings: ServerSettings) -> str:
    """Return a name that stands for a server's settings."""
    return f"{type(settings).__name__}-{hashlib.sha256(repr(settings).encode()).hexdigest()[:8]}"


@contextmanager
def journalled(file: Path) -> Iterator[None]:
    """Write what happens inside the block to `file`. A process that is killed may have done what its line, which
    follows, no longer says."""
    begin, finish, provide = RunFolder.begin, RunFolder.finish, ServerPool.provide

    def note(what: str, name: str) -> None:
        with file.open("a", encoding="utf-8") as journal:
            journal.write(f"{os.getpid()} {what} {name}\n")

    def noted_begin(folder: RunFolder, config: Config, provenance: dict[str, Any]) -> None:
        begin(folder, config, provenance)
        note(BEGUN, folder.path.name)

    def noted_finish(folder: RunFolder, status: str, error: str | None = None) -> None:
        finish(folder, status, error)
        note(status, folder.path.name)

    async def noted_provide(pool: ServerPool, settings: list[ServerSettings], *arguments: Any) -> list[ModelServer]:
        before = set(pool.running)
        try:
            return await provide(pool, settings, *arguments)
        finally:
            for each in set(pool.running) - before:
                note(SERVER, server_name(each))

    with (
        patch.object(RunFolder, "begin", noted_begin),
        patch.object(RunFolder, "finish", noted_finish),
        patch.object(ServerPool, "provide", noted_provide),
    ):
        yield


def read_journal(file: Path) -> list[Entry]:
    """Return the lines of a journal, none where there is none yet."""
    if not file.is_file():
        return []
    lines = [line.split(maxsplit=2) for line in file.read_text(encoding="utf-8").splitlines()]
    return [Entry(int(pid), what, name) for pid, what, name in lines]


def count(journal: Sequence[Entry], what: str) -> Counter[str]:
    """Return how often each name has had this happen."""
    return Counter(entry.name for entry in journal if entry.what == what)


if __name__ == "__main__":
    _, chosen, *overrides = sys.argv
    sys.argv = [run.__file__, *overrides]
    with journalled(Path(chosen)):
        run.main()
