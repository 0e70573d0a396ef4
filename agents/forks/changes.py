"""The changes that an overlay's upper folder holds, read as a list (overlayfs.rst in the kernel's documentation).

Making the list touches nothing of the tree. agents/forks/journal.py carries it out.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from precall.errors import ForkError

_PREFIXES = ("user.overlay.", "trusted.overlay.")  # mounted by an ordinary user, by root


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change at `path`, relative to the tree; "" is the tree itself.

    remove: nothing is there any more. replace: what the upper folder has takes its place. enter: the folder's contents
    change. leave: the folder has the bits `mode` and the times `times_ns` (access, modification).
    """

    kind: Literal["remove", "replace", "enter", "leave"]
    path: str
    mode: int = 0
    times_ns: tuple[int, int] = (0, 0)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> "Change":
        return cls(**{**entry, "times_ns": tuple(entry["times_ns"])})


def list_changes(upper: Path, tree: Path) -> list[Change]:
    """Return what carries the changes of `upper` into `tree`, in order; an empty list when nothing differs.

    Takes the overlay's own marks off what will be moved; the upper folder cannot be mounted again after it. Raises
    ForkError for what an overlay cannot carry over: a renamed folder, and a change to a file with several names.
    """
    try:
        changes = list(_changes_in(upper, tree, ""))
    except (OSError, RecursionError) as error:
        raise ForkError(f"The changes in {upper} cannot be read: {type(error).__name__}: {error}") from error
    if len(changes) == 2 and _has_same_metadata(upper, tree):
        return []
    return changes


def _changes_in(upper: Path, tree: Path, folder: str) -> Iterator[Change]:
    info = (upper / folder).lstat()
    yield Change(kind="enter", path=folder)
    with os.scandir(upper / folder) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        path = os.path.join(folder, name)
        source, target = upper / path, tree / path
        if is_whiteout(source):
            _refuse_hard_links(target)
            yield Change(kind="remove", path=path)
        elif is_folder(source) and is_folder(target) and not _has_mark(source, "opaque"):
            _refuse_renamed(source)
            yield from _changes_in(upper, tree, path)
        else:
            _refuse_hard_links(target)
            source_info = source.lstat()
            _take_marks_off(source)
            yield Change(kind="replace", path=path)
            if is_folder(source):  # a folder without its write bit is given it to be moved
                yield _leave(path, source_info)
    yield _leave(folder, info)


def _leave(path: str, info: os.stat_result) -> Change:
    mode = stat.S_IMODE(info.st_mode)
    return Change(kind="leave", path=path, mode=mode, times_ns=(info.st_atime_ns, info.st_mtime_ns))


def _has_same_metadata(upper: Path, tree: Path) -> bool:
    one, other = upper.lstat(), tree.lstat()
    return (one.st_mode, one.st_mtime_ns) == (other.st_mode, other.st_mtime_ns)


def is_folder(path: Path) -> bool:
    """Whether `path` itself is a folder; a link to one is not."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def is_whiteout(path: Path) -> bool:
    """Whether the overlay says with `path` that there is nothing."""
    info = path.lstat()
    return stat.S_ISCHR(info.st_mode) and info.st_rdev == 0


def _has_mark(path: Path, name: str) -> bool:
    marks = os.listxattr(path, follow_symlinks=False)
    return any(prefix + name in marks for prefix in _PREFIXES)


def _refuse_renamed(folder: Path) -> None:
    """The upper folder holds no more than the differences to the folder that it was, wherever that is."""
    if _has_mark(folder, "redirect"):
        raise ForkError(f"{folder} is a folder of the tree that was renamed.")


def _refuse_hard_links(target: Path) -> None:
    """Where a file has several names, what happens to one happens to all, in place; an overlay parts them."""
    if not os.path.lexists(target):
        return
    files = [target]
    if is_folder(target):
        files = [Path(parent, name) for parent, _, names in os.walk(target) for name in names]
    for file in files:
        if file.lstat().st_nlink > 1:
            raise ForkError(f"{file} has hard links, which an overlay does not keep.")


def _take_marks_off(path: Path) -> None:
    """Remove the overlay's attributes and whiteouts at and below `path`."""
    info = path.lstat()
    if is_whiteout(path):
        path.unlink()
        return
    _refuse_renamed(path)
    for name in os.listxattr(path, follow_symlinks=False):
        if name.startswith(_PREFIXES):
            os.removexattr(path, name, follow_symlinks=False)
    if is_folder(path):
        with os.scandir(path) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            _take_marks_off(path / name)
        os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
