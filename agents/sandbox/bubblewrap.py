"""The command line of bubblewrap: what a sandboxed program sees, and what it does not."""

import os
import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from agents.sandbox.identity import become_sandbox_user, stage
from agents.sandbox.launch import GATE, HOST_ENVIRONMENT, WORKSPACE, Launch, ReadOnly, View, inner_environment
from agents.sandbox.limits import MIB, Limits
from agents.sandbox.overlay import Overlay
from agents.sandbox.results import SandboxError
from agents.sandbox.seccomp import filter_program

PROGRAMS = {"bwrap": "bubblewrap", "prlimit": "util-linux", "unshare": "util-linux", "setpriv": "util-linux"}
_SYSTEM_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_PASSWD = b"sandbox:x:1000:1000::/tmp:/bin/sh\n"
_GROUP = b"sandbox:x:1000:\n"


class Bubblewrap:
    """Isolates commands with bubblewrap 0.8 or later.

    A program sees /usr, this Python's prefixes (all read-only), its workspace, a /tmp of its own, a /proc of its own
    processes and the six harmless devices. It has no network, no capability, no way to a user namespace, and no
    process beside its own.
    """

    def __init__(self) -> None:
        if platform.machine() != "x86_64":
            raise SandboxError(f"The machine is {platform.machine()}; the sandbox's system-call filter is for x86_64.")
        for program, package in PROGRAMS.items():
            if shutil.which(program, path=HOST_ENVIRONMENT["PATH"]) is None:
                raise SandboxError(
                    f"{program} is not installed; model-written programs run in it. Install it: apt install {package}"
                )
        prefixes = {Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()}
        self._prefixes = sorted(prefix for prefix in prefixes if not prefix.is_relative_to("/usr"))
        self._python_prefix = Path(sys.prefix).resolve()

    def launch(self, command: Sequence[str], view: View, limits: Limits, gate: Sequence[str] = GATE) -> Launch:
        place = _place(view)
        see, [root, *prefixes] = stage([place.resolve(), *self._prefixes])
        mount, workspace = view.mount(root) if isinstance(view, Overlay) else ([], root)
        status_here, status = os.pipe()
        data = [_readable(content) for content in (filter_program(), _PASSWD, _GROUP)]
        arguments = [
            *see,
            *mount,
            *become_sandbox_user(),
            "bwrap",
            *_isolation(status, data[0]),
            *_system(data[1], data[2]),
            *_scratch(limits),
            *(word for pair in zip(prefixes, self._prefixes, strict=True) for word in ("--ro-bind", *map(str, pair))),
            *("--ro-bind" if isinstance(view, ReadOnly) else "--bind", str(workspace), WORKSPACE),
            # Only now: a Python's prefix may lie below /tmp, and its mount point is made there.
            *(("--remount-ro", "/tmp", "--remount-ro", "/dev/shm") if isinstance(view, ReadOnly) else ()),
            *("--remount-ro", "/", "--chdir", WORKSPACE),
            *_environment(inner_environment(self._python_prefix)),
            "--",
            *gate,
            *limits.prlimit(),
            *command,
        ]
        return Launch(arguments=arguments, descriptors=[status, *data], status=status_here)


def _place(view: View) -> Path:
    match view:
        case Overlay():
            return view.root
        case ReadOnly():
            return view.folder
        case Path():
            return view


def _isolation(status: int, seccomp: int) -> list[str]:
    return [
        *("--unshare-all", "--unshare-user", "--disable-userns", "--uid", "1000", "--gid", "1000"),
        *("--hostname", "sandbox", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *("--seccomp", str(seccomp), "--json-status-fd", str(status)),
    ]


def _system(passwd: int, group: int) -> list[str]:
    words = ["--ro-bind", "/usr", "/usr"]
    for name in _SYSTEM_FOLDERS:
        folder = Path("/", name)
        if folder.is_symlink():
            words += ["--symlink", os.readlink(folder), str(folder)]
        elif folder.is_dir():
            words += ["--ro-bind", str(folder), str(folder)]
    for path in ("/etc/alternatives", "/etc/ld.so.cache"):
        words += ["--ro-bind-try", path, path]
    return [*words, "--ro-bind-data", str(passwd), "/etc/passwd", "--ro-bind-data", str(group), "/etc/group"]


def _scratch(limits: Limits) -> list[str]:
    # What bubblewrap mounts itself (/ and /dev) is a tmpfs without a limit: it is made read-only.
    size = str(limits.max_tmp_mib * MIB)
    return [
        *("--proc", "/proc", "--dev", "/dev", "--size", size, "--tmpfs", "/dev/shm", "--remount-ro", "/dev"),
        *("--size", size, "--tmpfs", "/tmp"),
    ]


def _environment(variables: dict[str, str]) -> list[str]:
    return ["--clearenv", *(word for pair in variables.items() for word in ("--setenv", *pair))]


def _readable(content: bytes) -> int:
    here, there = os.pipe()
    os.write(there, content)  # far below a pipe's 64 KiB, so it does not block
    os.close(there)
    return here
