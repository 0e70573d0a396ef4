"""As whom sandboxed programs run. A resource limit on processes does nothing for root, so root hands over to another.

Programs of an ordinary user run as that user, seen as uid 1000 inside. When we are root they run as SANDBOX_UID, which
owns the workspaces and nothing else. That uid may be barred from a folder above a workspace or above Python (/root is
often 0700): root binds what it needs under a staging folder first, in a mount namespace that ends with the command.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from agents.sandbox.results import SandboxError

SANDBOX_UID = 65533
STAGES = tuple(Path(name) for name in ("/mnt", "/media", "/srv", "/opt"))
_BIND_ALL = """set -e
mount -t tmpfs -o mode=755,size=64k tmpfs "$1"
stage=$1 number=0
shift
while [ "$1" != -- ]; do
    mkdir "$stage/$number"
    mount --bind "$1" "$stage/$number"
    number=$((number + 1))
    shift
done
shift
exec "$@"
"""


def is_root() -> bool:
    return os.geteuid() == 0


def sandbox_uid() -> int:
    """Return the uid, as this machine counts, that owns every workspace."""
    return SANDBOX_UID if is_root() else os.geteuid()


def give_to_sandbox(path: Path) -> None:
    """Make `path` itself, a link not followed, the property of sandboxed programs."""
    if is_root():
        os.chown(path, SANDBOX_UID, SANDBOX_UID, follow_symlinks=False)


def give_tree_to_sandbox(folder: Path) -> None:
    """Make `folder` and all below it the property of sandboxed programs."""
    if is_root():
        for parent, folders, files in os.walk(folder):
            for name in (*folders, *files):
                give_to_sandbox(Path(parent, name))
        give_to_sandbox(folder)


def stage(sources: Sequence[Path]) -> tuple[list[str], list[Path]]:
    """Return the command that lets the sandbox's user see `sources` and runs what follows it, and where they are then.

    What follows still runs as who we are, in a mount namespace of its own if that is root.
    """
    if not is_root():
        return [], list(sources)
    folder = _free_stage(sources)
    bind_all = ["/bin/sh", "-c", _BIND_ALL, "sh", str(folder), *map(str, sources), "--"]
    words = ["unshare", "--mount", "--propagation", "private", "--", *bind_all]
    return words, [folder / str(number) for number in range(len(sources))]


def become_sandbox_user() -> list[str]:
    """Return the command that becomes the sandbox's user and runs what follows it."""
    if not is_root():
        return []
    return ["setpriv", f"--reuid={SANDBOX_UID}", f"--regid={SANDBOX_UID}", "--clear-groups", "--"]


def _free_stage(sources: Iterable[Path]) -> Path:
    """Return a folder that hides none of `sources` when something is mounted on it."""
    sources = list(sources)
    for stage in STAGES:
        if stage.is_dir() and not any(source.is_relative_to(stage) for source in sources):
            return stage
    raise SandboxError(
        f"None of {', '.join(map(str, STAGES))} can be mounted on: it is missing, or the workspace or Python lies in "
        "it. Create one of them, empty, or run as an ordinary user."
    )
