"""A tool that works in a workspace: in place when its call is confirmed, in a fork when it is predicted."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from agents.forks.workspace import Fork
from agents.sandbox.results import Finished
from precall.tools import Effect, Tool


class Place(Protocol):
    """Where a tool works: a Workspace or a Fork."""

    async def run(self, command: Sequence[str], *, timeout_s: float) -> Finished: ...


class Tree(Place, Protocol):
    """What the tools of one trajectory work in: a Workspace."""

    async def look(self, command: Sequence[str], *, timeout_s: float) -> Finished: ...

    async def fork(self) -> Fork: ...


class NoTree:
    """Stands for a workspace in tools that are there to be read and not to be run."""

    async def run(self, command: Sequence[str], *, timeout_s: float) -> Finished:
        raise AssertionError("these tools have no workspace; Task.open has those that do")

    look = run

    async def fork(self) -> Fork:
        raise AssertionError("these tools have no workspace; Task.open has those that do")


def workspace_tool(
    workspace: Tree,
    body: Callable[..., Awaitable[Any]],
    *,
    name: str,
    description: str,
    parameters: Mapping[str, Any],
    timeout_s: float,
    max_observation_chars: int = 100_000,
) -> Tool:
    """Return the tool that calls `body(place, **arguments)`, a coroutine function that changes nothing but `place`."""

    async def fork() -> ToolFork:
        made = await workspace.fork()
        return ToolFork(function=partial(body, made), fork=made)

    return Tool(
        name=name,
        description=description,
        parameters=parameters,
        function=partial(body, workspace),
        effect=Effect.WORKSPACE,
        timeout_s=timeout_s,
        max_observation_chars=max_observation_chars,
        fork=fork,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFork:
    """A fork as precall.tools.Fork has it."""

    function: Callable[..., Any]
    fork: Fork

    async def commit(self) -> bool:
        return await self.fork.commit()

    async def discard(self) -> None:
        await self.fork.discard()
