"""Where a workspace keeps what, and how a folder that a dead process left is put in order.

    lock          held by the process that has the workspace open
    current       link to the tree: states/<n>; next, for a moment, is the link that replaces it
    states/<n>/   the tree; every other one is a fork made by copying, or a tree that a commit has replaced
    forks/<n>/    a fork made by overlay: upper/, work/ and merged/
    journal       the commit of an overlay, decided, and until it has been carried out

Programs may enter the root through its group alone, and only when we are root; they own the trees, and nothing else.
"""

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path

from agents.forks.changes import Change
from agents.forks.journal import carry_out
from agents.forks.trees import remove_tree
from agents.sandbox.identity import SANDBOX_UID, is_root
from precall.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The paths of the workspace in the folder `root`."""

    root: Path

    @property
    def current(self) -> Path:
        return self.root / "current"

    @property
    def states(self) -> Path:
        return self.root / "states"

    @property
    def forks(self) -> Path:
        return self.root / "forks"

    @property
    def journal(self) -> Path:
        return self.root / "journal"

    @property
    def _next(self) -> Path:
        return self.root / "next"

    def make(self) -> None:
        """Create the folders. Raises ConfigError when `root` is not empty."""
        self.root.mkdir(parents=True, exist_ok=True)
        if any(self.root.iterdir()):
            raise ConfigError(f"{self.root} is not empty; a workspace has a folder of its own. Name another one.")
        if is_root():
            os.chown(self.root, -1, SANDBOX_UID)
        self.root.chmod(0o750 if is_root() else 0o700)
        self.states.mkdir()
        self.forks.mkdir()

    def lock(self) -> int:
        """Return a descriptor that holds the workspace for this process until it is closed, or until we die.

        Raises ConfigError when another process has it.
        """
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise ConfigError(f"{self.root} is open in another process. Wait for it, or name another.") from error
        return descriptor

    def point_at(self, state: str) -> None:
        """Make states/`state` the tree, in one step that no crash can split: the renaming of a link."""
        self._next.unlink(missing_ok=True)
        self._next.symlink_to(f"states/{state}")
        self._next.rename(self.current)

    def write_journal(self, fork: str, changes: list[Change]) -> None:
        """Decide a commit, in one step: the renaming of a file. From here on it is carried out, by whoever is alive."""
        draft = self.forks / fork / "journal"
        draft.write_text(json.dumps({"fork": fork, "changes": [change.to_json() for change in changes]}))
        draft.rename(self.journal)

    def carry_out_journal(self) -> bool:
        """Carry out the commit that was decided, if any, from its start, and return whether there was one.

        What has been done is not done again.
        """
        if not self.journal.exists():
            return False
        journal = json.loads(self.journal.read_text())
        fork = self.forks / journal["fork"]
        changes = [Change.from_json(entry) for entry in journal["changes"]]
        carry_out(changes, fork / "upper", self.current.resolve(), fork / "trash")
        self.journal.unlink()
        return True

    def recover(self) -> None:
        """Put in order what a dead process left: finish its commit if it was decided, remove all else but the tree.

        Raises ConfigError when `root` holds no workspace.
        """
        if not self.current.is_symlink():
            raise ConfigError(f"{self.root} holds no workspace, or one whose creation was broken off. Remove it.")
        self.carry_out_journal()
        self._next.unlink(missing_ok=True)
        self.remove_all_but_tree()

    def remove_all_but_tree(self) -> None:
        """Remove every fork and every tree that has been replaced."""
        tree = self.current.resolve()
        for folder in (*self.forks.iterdir(), *self.states.iterdir()):
            if folder != tree:
                remove_tree(folder)

    def remove_fork(self, name: str) -> None:
        """Remove what belongs to one fork; one that has become the tree is not removed."""
        if self.current.resolve() != self.states / name:
            remove_tree(self.states / name)
        remove_tree(self.forks / name)
