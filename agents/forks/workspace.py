"""The folder that an agent's tools work in, with a version that every change raises, and forks of it."""

import asyncio
import os
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from agents.forks.layout import Layout
from agents.forks.methods import ForkedTree, ForkMethod
from agents.forks.trees import copy_tree, remove_tree
from agents.sandbox.identity import give_tree_to_sandbox
from agents.sandbox.results import Finished
from agents.sandbox.sandbox import Sandbox
from precall.errors import StaleForkError

T = TypeVar("T")


class Workspace:
    """One trajectory's workspace. `version` counts the changes since it was opened: commands in place, and commits.

    One process has it open at a time; `aclose` gives it back. A commit may move the tree: ask for its path anew.
    """

    def __init__(self, layout: Layout, sandbox: Sandbox, method: ForkMethod) -> None:
        """Use `create` or `open`."""
        self.version = 0
        self._layout = layout
        self._sandbox = sandbox
        self._method = method
        self._busy = asyncio.Lock()  # held while the tree is changed or copied
        self._lock = layout.lock()
        self._num_forks = 0
        self._work: set[asyncio.Task[Any]] = set()

    @classmethod
    def create(cls, root: Path, source: Path, sandbox: Sandbox, method: ForkMethod) -> "Workspace":
        """Make a workspace in the folder `root`, which is empty or missing, with a copy of the folder `source`.

        Raises ConfigError when `root` is in use, ForkError when `source` cannot be copied.
        """
        layout = Layout(root=root.resolve())
        layout.make()
        copy_tree(source, layout.states / "0")
        give_tree_to_sandbox(layout.states / "0")
        layout.point_at("0")
        return cls(layout, sandbox, method)

    @classmethod
    def open(cls, root: Path, sandbox: Sandbox, method: ForkMethod) -> "Workspace":
        """Open the workspace in `root`. What a dead process left is put in order first: a commit that it had decided is
        finished, its forks are removed.

        Raises ConfigError when there is none, or another process has it open.
        """
        workspace = cls(Layout(root=root.resolve()), sandbox, method)
        try:
            workspace._layout.recover()
        except BaseException:
            os.close(workspace._lock)
            raise
        workspace._num_forks = int(workspace.tree.name)
        return workspace

    @property
    def tree(self) -> Path:
        """The folder with the files as they are."""
        return self._layout.current.resolve()

    async def run(self, command: Sequence[str], *, timeout_s: float) -> Finished:
        """Run `command` in place. The forks that were made before are stale after it, whatever it did."""
        async with self._busy:
            await self._finish_commit()
            self.version += 1
            return await self._sandbox.run(command, self.tree, timeout_s=timeout_s)

    async def look(self, command: Sequence[str], *, timeout_s: float) -> Finished:
        """Run `command`, which changes nothing, in place. Forks stay good: the version is not raised."""
        async with self._busy:  # a commit may move the tree
            await self._finish_commit()
            return await self._sandbox.run(command, self.tree, timeout_s=timeout_s)

    async def fork(self) -> "Fork":
        """Return a fork of the state at this moment. Raises ForkError when it cannot be made."""
        making = self._start(self._make_fork())
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            self._start(_discard_when_made(making))  # a copy that has begun is made to its end
            raise

    async def _make_fork(self) -> "Fork":
        async with self._busy:
            await self._finish_commit()
            self._num_forks += 1
            fork = Fork(self, str(self._num_forks), self.version)
            try:
                fork.tree = await asyncio.to_thread(self._method.make, self._layout, fork.name)
            except BaseException:
                await asyncio.to_thread(self._layout.remove_fork, fork.name)
                raise
            return fork

    async def run_in(self, fork: "Fork", command: Sequence[str], *, timeout_s: float) -> Finished:
        assert fork.tree is not None, "the fork has been made"
        return await self._sandbox.run(command, fork.tree.view, timeout_s=timeout_s)

    async def commit(self, fork: "Fork") -> bool:
        # A task of its own, which no cancellation reaches: a thread cannot be stopped, and the lock must outlast it.
        return await asyncio.shield(self._start(self._commit(fork)))

    async def _commit(self, fork: "Fork") -> bool:
        async with self._busy:
            await self._finish_commit()
            if fork.version != self.version or fork.is_over:
                raise StaleForkError(
                    f"The fork is of version {fork.version}, the workspace has version {self.version}: run the command "
                    "anew."
                )
            assert fork.tree is not None, "the fork has been made"
            tree_before = self.tree
            is_changed = await asyncio.to_thread(fork.tree.commit)
            self.version += is_changed
            fork.is_over = True
            self._start(asyncio.to_thread(self._layout.remove_fork, fork.name))
            if self.tree != tree_before:
                self._start(asyncio.to_thread(remove_tree, tree_before))
            return is_changed

    async def discard(self, fork: "Fork") -> None:
        await asyncio.shield(self._start(self._discard(fork)))

    async def _discard(self, fork: "Fork") -> None:
        async with self._busy:  # a commit that has begun is not disturbed
            if fork.is_over:
                return
            fork.is_over = True
        await asyncio.to_thread(self._layout.remove_fork, fork.name)

    async def _finish_commit(self) -> None:
        """Finish a commit that was decided and then failed; it holds, so that there is no way back."""
        if await asyncio.to_thread(self._layout.carry_out_journal):
            self.version += 1

    async def settle(self) -> None:
        """Wait until what goes on behind the caller, above all removals, has ended."""
        while self._work:
            await asyncio.gather(*self._work, return_exceptions=True)

    async def aclose(self) -> None:
        """Remove every fork and give the workspace back; the tree stays. Commands that still run are the caller's."""
        await self.settle()
        try:
            await asyncio.to_thread(self._layout.recover)
        finally:
            os.close(self._lock)

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return task


class Fork:
    """A state of the workspace for one command to work on. After `commit` or `discard` it is gone."""

    def __init__(self, workspace: Workspace, name: str, version: int) -> None:
        """Use Workspace.fork."""
        self._workspace = workspace
        self.name = name
        self.version = version
        self.tree: ForkedTree | None = None
        self.is_over = False

    async def run(self, command: Sequence[str], *, timeout_s: float) -> Finished:
        """Run `command` in the fork, as Workspace.run does in place."""
        return await self._workspace.run_in(self, command, timeout_s=timeout_s)

    async def commit(self) -> bool:
        """Make the fork's state that of the workspace, in one step, and return whether it differs from before.

        Raises StaleForkError when the workspace has changed since the fork was made, and ForkError when the changes
        cannot be carried over; in both cases the workspace stays as it is. No command runs in the fork.
        """
        return await self._workspace.commit(self)

    async def discard(self) -> None:
        """Remove the fork, unless it has been committed, and all that belongs to it."""
        await self._workspace.discard(self)


async def _discard_when_made(making: asyncio.Task[Fork]) -> None:
    await (await making).discard()
