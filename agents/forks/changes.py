"""The changes that an overlay's upper folder holds, and how they reach the tree below.

A plan is made first; nothing of the tree is touched. Once it is written down, it is carried out, as often as it takes:
each change looks whether it has been made, so that carrying a plan out again from its start, after a crash at any
point, ends in the same tree (docs/sandbox.md has the argument).
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from precall.errors import ForkError

_OVERLAY_ATTRIBUTES = "user.overlay."
_OPAQUE = "user.overlay.opaque"


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


def plan_changes(upper: Path, tree: Path) -> list[Change]:
    """Return what carries the changes of `upper` into `tree`, in order; an empty list when there is none.

    Takes the overlay's own marks off what will be moved; the upper folder cannot be mounted again after it. Raises
    ForkError when the changes cannot be carried out.
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
        if _is_whiteout(source):
            _refuse_hard_links(target)
            yield Change(kind="remove", path=path)
        elif _is_folder(source) and _is_folder(target) and not _is_opaque(source):
            yield from _changes_in(upper, tree, path)
        else:
            _refuse_hard_links(target)
            source_info = source.lstat()
            _take_marks_off(source)
            yield Change(kind="replace", path=path)
            if _is_folder(source):  # a folder without its write bit cannot be moved: the bits are set once it has been
                yield _leave(path, source_info)
    yield _leave(folder, info)


def apply_changes(changes: list[Change], upper: Path, tree: Path, trash: Path) -> None:
    """Carry out a plan, or the rest of one. What the tree loses goes to the folder `trash`."""
    trash.mkdir(exist_ok=True)
    for number, change in enumerate(changes):
        source, target, lost = upper / change.path, tree / change.path, trash / str(number)
        match change.kind:
            case "enter":
                _make_writable(target)
            case "remove":
                _move_away(target, lost)
            case "replace" if os.path.lexists(source):
                if _is_folder(source):
                    _make_writable(source)
                if _is_folder(source) or _is_folder(target):
                    _move_away(target, lost)
                source.rename(target)
            case "leave":
                target.chmod(change.mode)
                os.utime(target, ns=change.times_ns)


def _leave(path: str, info: os.stat_result) -> Change:
    mode = stat.S_IMODE(info.st_mode)
    return Change(kind="leave", path=path, mode=mode, times_ns=(info.st_atime_ns, info.st_mtime_ns))


def _move_away(target: Path, lost: Path) -> None:
    if os.path.lexists(target):
        if _is_folder(target):
            _make_writable(target)
        target.rename(lost)


def _make_writable(folder: Path) -> None:
    mode = stat.S_IMODE(folder.lstat().st_mode)
    if mode & 0o700 != 0o700:
        folder.chmod(mode | 0o700)


def _has_same_metadata(upper: Path, tree: Path) -> bool:
    one, other = upper.lstat(), tree.lstat()
    return (one.st_mode, one.st_mtime_ns) == (other.st_mode, other.st_mtime_ns)


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _is_whiteout(path: Path) -> bool:
    info = path.lstat()
    return stat.S_ISCHR(info.st_mode) and info.st_rdev == 0


def _is_opaque(path: Path) -> bool:
    return _OPAQUE in os.listxattr(path, follow_symlinks=False)


def _refuse_hard_links(target: Path) -> None:
    """Where a file has several names, what happens to one happens to all, in place; an overlay parts them."""
    if not os.path.lexists(target):
        return
    files = [target]
    if _is_folder(target):
        files = [Path(parent, name) for parent, _, names in os.walk(target) for name in names]
    for file in files:
        if file.lstat().st_nlink > 1:
            raise ForkError(f"{file} has hard links, which an overlay does not keep.")


def _take_marks_off(path: Path) -> None:
    """Remove the overlay's attributes and whiteouts at and below `path`."""
    info = path.lstat()
    if _is_whiteout(path):
        path.unlink()
        return
    for name in os.listxattr(path, follow_symlinks=False):
        if name.startswith(_OVERLAY_ATTRIBUTES):
            os.removexattr(path, name, follow_symlinks=False)
    if _is_folder(path):
        with os.scandir(path) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            _take_marks_off(path / name)
        os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
