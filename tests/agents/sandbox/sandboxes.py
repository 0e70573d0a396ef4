"""Helpers of the tests that run in the sandbox."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from agents.sandbox.identity import give_to_sandbox
from agents.sandbox.limits import Limits
from agents.sandbox.results import Finished
from agents.sandbox.sandbox import Sandbox

SMALL = Limits(max_memory_mib=256, max_processes=32, max_file_mib=8, max_size_mib=16, max_tmp_mib=4, max_cpu_s=5)


@contextlib.contextmanager
def empty_workspace() -> Iterator[Path]:
    """Yield a folder that sandboxed programs own, below one that they cannot enter by themselves."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "workspace")
        folder.mkdir()
        give_to_sandbox(folder)
        yield folder


async def attempt(command: Sequence[str], workspace: Path) -> Finished:
    """Run `command` under small limits."""
    return await Sandbox(SMALL).run(command, workspace, timeout_s=10.0)


def exists(path: str) -> bool:
    return os.path.exists(path)


def python(code: str) -> list[str]:
    """Return the command that runs `code` in the sandbox's Python, without site-packages, which it starts faster."""
    return ["python", "-I", "-S", "-c", code]


def shell(text: str) -> list[str]:
    return ["bash", "-c", text]


def processes_with(word: str) -> list[Path]:
    """Return the entries in /proc of the processes whose command line holds `word`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if word.encode() in path.read_bytes():
                found.append(path)
    return found


def interpreters() -> list[int]:
    """Return the processes below this one whose command line is that of an interpreter in the sandbox; other runs of
    the tests may have theirs at the same time."""
    return [pid for path in processes_with("_refuse_processes") if _is_below_this_one(pid := int(path.parent.name))]


def _is_below_this_one(pid: int) -> bool:
    while pid > 1 and pid != os.getpid():
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return pid == os.getpid()
