"""A command that runs until it is ended, and that is talked to over the socket which is its stdin."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Sequence

from agents.sandbox.launch import TALKING_GATE, View
from agents.sandbox.limits import Limit
from agents.sandbox.output import read_cut
from agents.sandbox.processes import Processes, start
from agents.sandbox.results import SandboxError
from agents.sandbox.sandbox import Sandbox, check_owner, setup_message
from agents.sandbox.watch import watch


class Dialogue:
    """A command at work. `channel` is this side's end of the socket, and does not block; `stopped_by` is the limit
    that has ended the command, if one has. What is read from `channel` was written by whatever runs inside."""

    def __init__(self, processes: Processes, outputs: Sequence["asyncio.Task[str]"]) -> None:
        self.channel: socket.socket = processes.gate
        self.stopped_by: Limit | None = None
        self._processes = processes
        self._outputs = outputs

    async def end(self) -> str:
        """End the command with all its processes, and return what it wrote to stderr."""
        self._processes.kill()
        _, stderr = await asyncio.gather(*self._outputs)
        return stderr


@contextlib.asynccontextmanager
async def open_dialogue(
    sandbox: Sandbox, command: Sequence[str], view: View, *, relieve: Callable[[], bool]
) -> AsyncIterator[Dialogue]:
    """Run `command` in the sandbox while the block lasts; after it, every process of it has ended.

    At a limit of all its processes together `relieve` is asked to end what can be spared: if it returns False, the
    command is stopped. Raises SandboxError when the sandbox cannot be set up.
    """
    check_owner(view)
    async with start(sandbox.launch(command, view, gate=TALKING_GATE)) as processes:
        max_bytes = sandbox.limits.max_output_kib * 1024
        tasks = [asyncio.create_task(read_cut(stream, max_bytes)) for stream in processes.outputs]
        dialogue = Dialogue(processes, tuple(tasks))
        try:
            if not await processes.begin():
                raise SandboxError(setup_message(await dialogue.end()))
            guarding = asyncio.create_task(_guard(dialogue, processes, sandbox, view, relieve))
            try:
                yield dialogue
            finally:
                guarding.cancel()
                await asyncio.gather(guarding, return_exceptions=True)
        finally:
            processes.kill()
            for task in tasks:
                task.cancel()


async def _guard(
    dialogue: Dialogue, processes: Processes, sandbox: Sandbox, view: View, relieve: Callable[[], bool]
) -> None:
    while True:
        limit = await watch(processes.init, view, sandbox.limits)
        if not relieve():
            dialogue.stopped_by = limit
            processes.kill()
            return
