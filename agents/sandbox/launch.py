"""The seam between running a command and the program that isolates it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agents.sandbox.limits import Limits
from agents.sandbox.overlay import Overlay

WORKSPACE = "/workspace"
"""Where every sandboxed program finds its workspace, so that forks and the original look the same from inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOnly:
    """A folder to read. With it no folder at all can be written to, /tmp and /dev/shm included."""

    folder: Path


View = Path | Overlay | ReadOnly
"""What stands at WORKSPACE: a folder as it is, an overlay on one, or one to read."""

HOST_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
"""What the isolating program itself is started with: a program inside could read more of it than its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A command line and this side's ends of what passes through it.

    `descriptors` are inherited by the isolating program and closed here once it has started. `status` gives
    bubblewrap's JSON documents; None where the isolating program tells nothing.
    """

    arguments: Sequence[str]
    descriptors: Sequence[int] = ()
    status: int | None = None


GATE = ("/bin/sh", "-c", 'echo ready >&0; read -r go && exec "$@" </dev/null', "sh")
"""Stands before every command, with a socket as its stdin: says that the set-up is done, and lets the command begin
when it is told so; when we have died meanwhile, it ends."""

TALKING_GATE = ("/bin/sh", "-c", 'echo ready >&0; read -r go && exec "$@"', "sh")
"""The same, and the command keeps the socket as its stdin."""


class Launcher(Protocol):
    """Isolates commands."""

    def launch(self, command: Sequence[str], view: View, limits: Limits, gate: Sequence[str] = GATE) -> Launch:
        """Return how to start `command`, behind `gate`, with `view` at WORKSPACE. Raises SandboxError when that is
        impossible here."""
        ...


def inner_environment(python_prefix: Path | None) -> dict[str, str]:
    """Return the whole environment of a sandboxed program. It is fixed, so that observations repeat."""
    path = "/usr/local/bin:/usr/bin:/bin"
    return {
        "PATH": path if python_prefix is None else f"{python_prefix}/bin:{path}",
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
    }
