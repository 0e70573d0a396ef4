"""Whole trees of files that model-written programs made: copied, removed and compared without following a link.

Copying and removing are left to coreutils, which walk by descriptors: no nesting is too deep for them, and no link that
a program left leads them out. Call them only while no program runs in the tree.
"""

import hashlib
import os
import stat
import subprocess
from collections.abc import Collection
from pathlib import Path

from precall.errors import ForkError


def copy_tree(source: Path, target: Path) -> None:
    """Copy the folder `source` to `target`, which does not exist: owners, bits, times, links, hard links within.

    Files share their blocks with the original where the file system can (reflinks). Raises ForkError.
    """
    command = ["cp", "-a", "--reflink=auto", "--no-target-directory", "--", source, target]
    ran = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if ran.returncode != 0:
        raise ForkError(f"{source} could not be copied: {ran.stderr.strip()[:500]}")


def remove_tree(path: Path) -> None:
    """Remove `path` with all below it, folders without permissions included. Raises OSError when something is left."""
    command = ["rm", "-rf", "--one-file-system", "--", path]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        subprocess.run(["chmod", "-R", "u+rwX", "--", path], capture_output=True, check=False)
        ran = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if ran.returncode != 0:
            raise OSError(f"{path} could not be removed: {ran.stderr.strip()[:500]}")


def fingerprint(folder: Path, *, without: Collection[str] = ()) -> str:
    """Return a hash of all names, kinds, permission bits, link targets and contents below `folder`, but for what has a
    name in `without`.

    Times and owners do not count: they tell when and as whom a program ran.
    """
    total = hashlib.sha256()
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(set(folders).difference(without))
        for name in sorted({*folders, *files}.difference(without)):
            path = Path(parent, name)
            info = path.lstat()
            entry = [os.fsencode(path.relative_to(folder)), f"{info.st_mode:o}".encode()]
            if stat.S_ISLNK(info.st_mode):
                entry.append(os.fsencode(os.readlink(path)))
            elif stat.S_ISREG(info.st_mode):
                entry.append(_content_hash(path))
            total.update(b"".join(len(part).to_bytes(8, "big") + part for part in entry))
    return total.hexdigest()


def _content_hash(path: Path) -> bytes:
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
