"""Which way of forking to take: copies, unless the tree is large and an overlay, tried once, does what it should."""

import asyncio
import os
import tempfile
from pathlib import Path

from agents.forks.methods import Copies, ForkMethod, Overlays
from agents.forks.trees import remove_tree
from agents.forks.workspace import Workspace
from agents.sandbox.results import SandboxError
from agents.sandbox.sandbox import Sandbox
from precall.errors import ForkError

MIN_FILES_FOR_OVERLAY = 300
"""Below it a copy takes some tens of milliseconds, and a command can tell less of it than of an overlay."""
# Where an ordinary user mounts the overlay, renaming a folder fails, which a program in place would not see.
_TRIAL = "import os; os.remove('old'); os.rename('folder', 'renamed'); open('renamed/new', 'w').close()"


async def choose_method(source: Path, folder: Path, sandbox: Sandbox) -> ForkMethod:
    """Return the way to fork workspaces that are made below `folder` with a copy of `source`.

    An overlay is tried in `folder`; nothing is left there.
    """
    if await asyncio.to_thread(_num_files, source) < MIN_FILES_FOR_OVERLAY:
        return Copies()
    return Overlays() if await can_overlay(folder, sandbox) else Copies()


async def can_overlay(folder: Path, sandbox: Sandbox) -> bool:
    """Whether a fork by overlay can be made below `folder`, and behaves in it as in place."""
    trial = Path(tempfile.mkdtemp(dir=folder))
    try:
        return await _try_overlay(trial, sandbox)
    except (SandboxError, ForkError):
        return False
    finally:
        await asyncio.to_thread(remove_tree, trial)


async def _try_overlay(trial: Path, sandbox: Sandbox) -> bool:
    (trial / "source" / "folder").mkdir(parents=True)
    (trial / "source" / "old").touch()
    workspace = Workspace.create(trial / "workspace", trial / "source", sandbox, Overlays())
    try:
        fork = await workspace.fork()
        renamed = await fork.run(["python", "-I", "-S", "-c", _TRIAL], timeout_s=30.0)
        await fork.discard()
        fork = await workspace.fork()
        await fork.run(["sh", "-c", "rm old && echo x > new"], timeout_s=30.0)
        await fork.commit()
        names = sorted(entry.name for entry in workspace.tree.iterdir())
        return renamed.returncode == 0 and names == ["folder", "new"]
    finally:
        await workspace.aclose()


def _num_files(folder: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))
