"""Which way of forking works here: found out by trying it once."""

import asyncio
import tempfile
from pathlib import Path

from agents.forks.methods import Copies, ForkMethod, Overlays
from agents.forks.trees import remove_tree
from agents.forks.workspace import Workspace
from agents.sandbox.results import SandboxError
from agents.sandbox.sandbox import Sandbox
from precall.errors import ForkError


async def choose_method(folder: Path, sandbox: Sandbox) -> ForkMethod:
    """Return the way to fork workspaces below `folder`: by overlay if a fork can be made so, changed and committed,
    else by copying. It leaves nothing in the folder."""
    trial = Path(tempfile.mkdtemp(dir=folder))
    try:
        can_overlay = await _can_overlay(trial, sandbox)
    finally:
        await asyncio.to_thread(remove_tree, trial)
    return Overlays() if can_overlay else Copies()


async def _can_overlay(trial: Path, sandbox: Sandbox) -> bool:
    (trial / "source").mkdir()
    (trial / "source" / "old").touch()
    workspace = Workspace.create(trial / "workspace", trial / "source", sandbox, Overlays())
    try:
        fork = await workspace.fork()
        await fork.run(["sh", "-c", "rm old && echo x > new"], timeout_s=30.0)
        await fork.commit()
        return [entry.name for entry in workspace.tree.iterdir()] == ["new"]
    except (SandboxError, ForkError):
        return False
    finally:
        await workspace.aclose()
