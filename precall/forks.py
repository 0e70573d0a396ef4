"""A predicted call that runs in a fork of the state it changes, until it is known whether it was right."""

from dataclasses import replace

from precall.calls import Observation, ToolCall
from precall.errors import ForkError
from precall.events import now_s
from precall.tools import Fork, Tool, ToolExecutor


class ForkedCall:
    """One execution of a tool of effect `workspace`. `fork_s` is the time that the fork took to make."""

    def __init__(self, tool: Tool, call: ToolCall) -> None:
        self._tool = tool
        self._call = call
        self._fork: Fork | None = None
        self.fork_s: float | None = None

    async def run(self, executor: ToolExecutor, occurrence: int) -> Observation:
        """Make a fork and run the call in it. Without a fork the observation is an error."""
        assert self._tool.fork is not None, "the policy has allowed it"
        started_s = now_s()
        try:
            self._fork = await self._tool.fork()
        except ForkError as error:
            return Observation(content=f"Error: {error}", is_error=True)
        self.fork_s = now_s() - started_s
        return await executor(replace(self._tool, function=self._fork.function), self._call, occurrence)

    async def commit(self) -> bool:
        """Make what the call has done the state, and return whether that has changed it. Raises ForkError."""
        assert self._fork is not None, "the call has an observation that is no error"
        return await self._fork.commit()

    async def discard(self) -> None:
        """Remove the fork, if it was made. The call does not run any more."""
        if self._fork is not None:
            await self._fork.discard()
