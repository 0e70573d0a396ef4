"""Runs a model-written command where it can harm nothing but its workspace. docs/sandbox.md says what protects."""

import asyncio
import time
from collections.abc import Sequence

from agents.sandbox.bubblewrap import Bubblewrap
from agents.sandbox.identity import sandbox_uid
from agents.sandbox.launch import GATE, Launch, Launcher, ReadOnly, View
from agents.sandbox.limits import Limit, Limits
from agents.sandbox.output import read_cut
from agents.sandbox.processes import Processes, start
from agents.sandbox.results import Finished, SandboxError
from agents.sandbox.watch import is_too_large, watch, written_folder


class Sandbox:
    """Runs commands, one process tree each. It holds no state between them: one object serves all trajectories."""

    def __init__(self, limits: Limits | None = None, launcher: Launcher | None = None) -> None:
        """Raises SandboxError when bubblewrap is missing."""
        self.limits = limits or Limits()
        self._launcher = launcher or Bubblewrap()

    def launch(self, command: Sequence[str], view: View, *, gate: Sequence[str]) -> Launch:
        return self._launcher.launch(command, view, self.limits, gate)

    async def run(self, command: Sequence[str], view: View, *, timeout_s: float) -> Finished:
        """Run `command` with `view` as its workspace and working folder, and return when its last process is gone.

        Background processes end with the command. Cancelling the call kills everything. Raises SandboxError when the
        sandbox cannot be set up.
        """
        check_owner(view)
        started_s = time.monotonic()
        async with start(self.launch(command, view, gate=GATE)) as processes:
            max_bytes = self.limits.max_output_kib * 1024
            outputs = [asyncio.create_task(read_cut(stream, max_bytes)) for stream in processes.outputs]
            try:
                stopped_by = await self._wait(processes, view, timeout_s)
                processes.kill()
                stdout, stderr = await asyncio.gather(*outputs)
            finally:
                for output in outputs:
                    output.cancel()
            returncode = await processes.wait()
        if stopped_by is None and returncode is None:
            raise SandboxError(setup_message(stderr))
        if stopped_by is None and await asyncio.to_thread(is_too_large, view, self.limits):
            stopped_by = Limit.SIZE
        return Finished(
            returncode=None if stopped_by else returncode,
            stdout=stdout,
            stderr=stderr,
            stopped_by=stopped_by,
            duration_s=time.monotonic() - started_s,
        )

    async def _wait(self, processes: Processes, view: View, timeout_s: float) -> Limit | None:
        """Let the command begin; wait until it ends, exceeds a limit, or its time is up."""
        await processes.begin()
        ended = asyncio.create_task(processes.outer.wait())
        watched = asyncio.create_task(watch(processes.init, view, self.limits))
        try:
            await asyncio.wait({ended, watched}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return None
            return watched.result() if watched.done() else Limit.TIME
        finally:
            ended.cancel()
            watched.cancel()
            await asyncio.gather(ended, watched, return_exceptions=True)


def check_owner(view: View) -> None:
    """Raise SandboxError when sandboxed programs could not write where they should."""
    if isinstance(view, ReadOnly):
        return
    folder = written_folder(view)
    owner, wanted = folder.stat(follow_symlinks=False).st_uid, sandbox_uid()
    if owner != wanted:
        raise SandboxError(
            f"{folder} belongs to uid {owner}; sandboxed programs run as uid {wanted} and could not write there. "
            "Let Workspace.create copy the files, or call give_tree_to_sandbox on the folder."
        )


def setup_message(stderr: str) -> str:
    return (
        f"The sandbox could not be set up: {stderr.strip() or 'no message'}. bubblewrap needs version 0.8 or later and "
        "user namespaces: `unshare -Urm true` must work. In a container start it with them allowed, on Ubuntu see "
        "kernel.apparmor_restrict_unprivileged_userns."
    )
