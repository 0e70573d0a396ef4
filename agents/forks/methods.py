"""Two ways to fork a tree, and which of them works here."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Protocol

from agents.forks.changes import plan_changes
from agents.forks.layout import Layout
from agents.forks.trees import copy_tree
from agents.sandbox.identity import give_to_sandbox
from agents.sandbox.launch import View
from agents.sandbox.overlay import MERGED, UPPER, WORK, Overlay


class ForkMethod(Protocol):
    """How a fork is made and committed; blocking, and called while nothing else touches the tree."""

    name: str

    def make(self, layout: Layout, fork: str) -> View:
        """Make the fork called `fork` and return how a command sees it. Raises ForkError."""
        ...

    def commit(self, layout: Layout, fork: str) -> bool:
        """Make the fork's state that of the workspace, in one step, and return whether it differs.

        Raises ForkError when it cannot be done; then nothing has changed.
        """
        ...


class Copies:
    """Each fork is a copy of the tree. It works on every file system, and costs a file's time for each file, or less
    where files can share their blocks; a commit costs the same, however much has changed."""

    name = "copy"

    def make(self, layout: Layout, fork: str) -> View:
        copy_tree(layout.current.resolve(), layout.states / fork)
        return layout.states / fork

    def commit(self, layout: Layout, fork: str) -> bool:
        layout.point_at(fork)
        return True  # to find out whether nothing has changed would cost more than it saves


class Overlays:
    """Each fork is an overlay on the tree, and holds what has changed in it. It costs the same, however large the tree
    is; a commit costs a moment for each change. It needs a kernel and a file system that allow it (`can_overlay`)."""

    name = "overlay"

    def make(self, layout: Layout, fork: str) -> View:
        tree, folder = layout.current.resolve(), layout.forks / fork
        folder.mkdir()
        for name in (UPPER, WORK, MERGED):
            (folder / name).mkdir()
            give_to_sandbox(folder / name)
        shutil.copystat(tree, folder / UPPER, follow_symlinks=False)  # the upper folder's bits and times are what shows
        return Overlay(root=layout.root, lower=f"states/{tree.name}", fork=f"forks/{fork}")

    def commit(self, layout: Layout, fork: str) -> bool:
        changes = plan_changes(layout.forks / fork / UPPER, layout.current.resolve())
        if changes:
            layout.write_journal(fork, changes)
            layout.carry_out_journal()
        return bool(changes)
