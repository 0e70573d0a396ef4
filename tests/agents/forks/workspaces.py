"""Helpers of the tests of forks: workspaces, and all there is to see of a tree."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agents.forks.methods import Copies, Overlays
from agents.forks.workspace import Fork, Workspace
from agents.sandbox.results import Finished
from agents.sandbox.sandbox import Sandbox
from tests.agents.sandbox.sandboxes import SMALL, shell

METHODS = [Copies(), Overlays()]


async def run(place: Workspace | Fork, text: str, timeout_s: float = 10.0) -> Finished:
    """Run a shell's text in a workspace or a fork."""
    return await place.run(shell(text), timeout_s=timeout_s)


def sandbox() -> Sandbox:
    return Sandbox(SMALL)


@contextmanager
def folder() -> Iterator[Path]:
    """Yield a folder whose name is one that options of mount could trip over."""
    with tempfile.TemporaryDirectory(prefix="a,b:c d") as name:
        yield Path(name)


def write_tree(root: Path) -> Path:
    """Write the tree that the tests start from below `root`, and return it."""
    source = root / "source"
    for name in ("d/deep/er", "empty", "gone"):
        (source / name).mkdir(parents=True)
    for name in ("a", "b", "d/x", "d/y", "d/deep/z", "d/deep/er/w", "gone/1", "gone/2"):
        (source / name).write_bytes(name.encode() * 3)
        os.utime(source / name, ns=(10**18, 10**18))
    (source / "binary").write_bytes(bytes(range(256)) * 300)
    (source / "link").symlink_to("d/x")
    (source / "out").symlink_to("/etc")
    (source / "dangling").symlink_to("nowhere")
    (source / "b").chmod(0o750)
    os.utime(source / "d", ns=(10**18, 10**18))
    return source


def snapshot(tree: Path, *, with_times: bool = True) -> dict[str, Any]:
    """Return, by path, everything that a program could see of a tree, apart from inode numbers."""
    seen: dict[str, Any] = {}
    for parent, folders, files in os.walk(tree):
        for name in (".", *folders, *files):
            path = Path(parent, name)
            info = path.lstat()
            content: Any = None
            if stat.S_ISLNK(info.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(info.st_mode):
                content = path.read_bytes()
            num_links = None if path.is_dir() else info.st_nlink
            times = info.st_mtime_ns if with_times else None
            attributes = os.listxattr(path, follow_symlinks=False)
            owner = (info.st_uid, info.st_gid)
            seen[str(path.relative_to(tree))] = (info.st_mode, owner, num_links, attributes, content, times)
    return seen


def mounts() -> list[str]:
    return sorted(Path("/proc/self/mountinfo").read_text().splitlines())
