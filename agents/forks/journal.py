"""Carries changes out in a tree, as often as it takes.

Each change looks whether it has been made, so that carrying a list out again from its start, after a crash at any
point, ends in the same tree. docs/sandbox.md has the argument.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from agents.forks.changes import Change, is_folder


def carry_out(changes: Sequence[Change], upper: Path, tree: Path, trash: Path) -> None:
    """Carry out a list of changes, or the rest of it. What the tree loses goes to the folder `trash`."""
    trash.mkdir(exist_ok=True)
    for number, change in enumerate(changes):
        source, target, lost = upper / change.path, tree / change.path, trash / str(number)
        match change.kind:
            case "remove":
                _move_away(target, lost)
            case "replace" if os.path.lexists(source):
                if is_folder(source):
                    _make_writable(source)
                if is_folder(source) or is_folder(target):
                    _move_away(target, lost)
                source.rename(target)
            case "enter":
                _make_writable(source)
                _make_writable(target)
            case "leave":
                target.chmod(change.mode)
                os.utime(target, ns=change.times_ns)


def _move_away(target: Path, lost: Path) -> None:
    if os.path.lexists(target):
        if is_folder(target):
            _make_writable(target)
        target.rename(lost)


def _make_writable(folder: Path) -> None:
    mode = stat.S_IMODE(folder.lstat().st_mode)
    if mode & 0o700 != 0o700:
        folder.chmod(mode | 0o700)
