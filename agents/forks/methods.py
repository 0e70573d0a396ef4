"""Two ways to fork a tree. agents/forks/choice.py says which one to take."""

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agents.forks.changes import list_changes
from agents.forks.layout import Layout
from agents.forks.trees import copy_tree
from agents.sandbox.identity import give_to_sandbox
from agents.sandbox.launch import View
from agents.sandbox.overlay import MERGED, UPPER, WORK, Overlay


class ForkedTree(Protocol):
    """A fork on the disk."""

    @property
    def view(self) -> View:
        """How a command sees it."""
        ...

    def commit(self) -> bool:
        """Make the fork's state that of the workspace, in one step, and return whether it differs.

        Raises ForkError when it cannot be done; then nothing has changed.
        """
        ...


class ForkMethod(Protocol):
    """How forks are made. All of it blocks, and is called while nothing else touches the tree."""

    name: str

    def make(self, layout: Layout, fork: str) -> ForkedTree:
        """Make the fork called `fork`. Raises ForkError."""
        ...


class Copies:
    """Each fork is a copy of the tree. A command sees no difference but inode numbers. Making one takes time for each
    file, and a commit is the renaming of a link."""

    name = "copy"

    def make(self, layout: Layout, fork: str) -> ForkedTree:
        tree = layout.states / fork
        copy_tree(layout.current.resolve(), tree)
        return CopiedTree(layout=layout, fork=fork, before=_listing(tree))


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedTree:
    layout: Layout
    fork: str
    before: frozenset[tuple[object, ...]]

    @property
    def view(self) -> View:
        return self.layout.states / self.fork

    def commit(self) -> bool:
        if _listing(self.layout.states / self.fork) == self.before:
            return False
        self.layout.point_at(self.fork)
        return True


class Overlays:
    """Each fork is an overlay on the tree, and holds what has changed in it. Making one takes the same time whatever
    the size of the tree, and a commit takes time for each change. A command could notice: inode numbers, the order in
    which a folder is listed, its link count and size, and, if we are not root, that folders cannot be renamed."""

    name = "overlay"

    def make(self, layout: Layout, fork: str) -> ForkedTree:
        tree, folder = layout.current.resolve(), layout.forks / fork
        folder.mkdir()
        for name in (UPPER, WORK, MERGED):
            (folder / name).mkdir()
            give_to_sandbox(folder / name)
        shutil.copystat(tree, folder / UPPER)  # the upper folder's bits and times are what a command sees
        view = Overlay(root=layout.root, lower=f"states/{tree.name}", fork=f"forks/{fork}")
        return OverlaidTree(layout=layout, fork=fork, view=view)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlaidTree:
    layout: Layout
    fork: str
    view: Overlay

    def commit(self) -> bool:
        changes = list_changes(self.view.upper, self.layout.current.resolve())
        if changes:
            self.layout.write_journal(self.fork, changes)
            self.layout.carry_out_journal()
        return bool(changes)


def _listing(tree: Path) -> frozenset[tuple[object, ...]]:
    """Return what tells a changed tree from the same one: a program cannot set the time of a change of status."""
    seen: list[tuple[object, ...]] = []
    for parent, folders, files in os.walk(tree):
        for name in ("", *folders, *files):
            info = os.lstat(os.path.join(parent, name))
            kind = stat.S_IFMT(info.st_mode)
            seen.append((parent, name, info.st_ino, kind, info.st_size, info.st_mtime_ns, info.st_ctime_ns))
    return frozenset(seen)
