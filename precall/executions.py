"""Executions: predicted calls that were launched, from launch to their fate. One object serves one trajectory."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from precall.calls import CallKey, Observation, ToolCall
from precall.errors import ForkError
from precall.events import EventKind, EventRecorder, now_s
from precall.forks import ForkedCall
from precall.tools import Effect, Tool, ToolExecutor


class Fate(StrEnum):
    """What became of an execution."""

    USED = "used"
    WASTED = "wasted"  # finished, and nobody asked for it
    CANCELLED = "cancelled"  # still running when it was no longer needed
    FAILED = "failed"  # the tool raised or ran out of time; a confirmed call is then run afresh


class Outcome(StrEnum):
    """How a confirmed call was found."""

    READY_HIT = "ready_hit"
    PENDING_HIT = "pending_hit"
    MISS = "miss"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Execution:
    tool: Tool
    task: asyncio.Task[Observation]
    launched_s: float
    forked: ForkedCall | None


class Publisher(Protocol):
    """Hears of every execution, so that it can tell others what the tool returned."""

    def launched(self, turn: int, tool: Tool, call: ToolCall, execution: asyncio.Task[Observation]) -> None:
        """Returns at once."""

    async def aclose(self) -> None: ...


class Executions:
    """The executions of one turn at a time; `end_turn` settles whatever the turn did not use."""

    def __init__(self, executor: ToolExecutor, recorder: EventRecorder, publisher: Publisher | None = None) -> None:
        self._executor = executor
        self._recorder = recorder
        self._publisher = publisher
        self._turn = 0
        self._alive: dict[CallKey, _Execution] = {}
        self._cancelled: set[asyncio.Task[Observation]] = set()
        self._discards: set[asyncio.Task[None]] = set()

    def launch(self, turn: int, tool: Tool, call: ToolCall, key: CallKey, occurrence: int) -> None:
        """Start `call` in a task of its own; `key` is not alive, and the policy has allowed it."""
        assert key not in self._alive, f"{key} is already running"
        self._turn = turn
        forked = ForkedCall(tool, call) if tool.effect is Effect.WORKSPACE else None
        running = (
            _run(self._executor, tool, call, occurrence) if forked is None else forked.run(self._executor, occurrence)
        )
        task = asyncio.create_task(running)
        self._alive[key] = _Execution(tool=tool, task=task, launched_s=now_s(), forked=forked)
        self._recorder.emit(EventKind.EXECUTION_LAUNCHED, turn, name=key.name, arguments=key.arguments)
        # What was done in a fork holds once this side has committed it, and not before: it is told to nobody.
        if self._publisher is not None and forked is None:
            self._publisher.launched(turn, tool, call, task)

    async def take(self, key: CallKey) -> tuple[Outcome, Observation | None]:
        """Hand over the observation for `key`, waiting for it if the tool still runs. A miss comes with None.

        What was done in a fork is the state before its observation is handed over; when it cannot be, it is a miss.
        """
        execution = self._alive.get(key)
        if execution is None:
            return Outcome.MISS, None
        outcome = Outcome.READY_HIT if execution.task.done() else Outcome.PENDING_HIT
        observation = await asyncio.shield(execution.task)
        if observation.is_error:
            self._drop([key])
            return Outcome.MISS, None
        if execution.forked is not None:
            has_changed = await self._commit(key, execution.forked)
            if has_changed is None:
                self._drop([key])
                return Outcome.MISS, None
        else:
            has_changed = False
        del self._alive[key]
        self._end(key, execution, Fate.USED)
        if has_changed:
            self.state_changed()
        return outcome, observation

    async def _commit(self, key: CallKey, forked: ForkedCall) -> bool | None:
        """Return whether the state has changed by the fork; None when it could not be committed."""
        started_s, has_changed, message = now_s(), None, None
        try:
            has_changed = await forked.commit()
        except ForkError as error:
            message = str(error)
        self._recorder.emit(
            EventKind.COMMIT_ENDED,
            self._turn,
            name=key.name,
            arguments=key.arguments,
            has_changed=has_changed,
            fork_s=forked.fork_s,
            duration_s=now_s() - started_s,
            message=message,
        )
        return has_changed

    def use(self, key: CallKey) -> Observation | None:
        """Settle the execution of a call whose observation the engine has used, and hand over its own.

        None when there is none, or it has failed, still runs or is in a fork: then the engine used an earlier one, and
        this one is dropped.
        """
        execution = self._alive.get(key)
        if execution is None:
            return None
        if execution.forked is not None or not execution.task.done() or execution.task.result().is_error:
            self._drop([key])
            return None
        del self._alive[key]
        self._end(key, execution, Fate.USED)
        return execution.task.result()

    def state_changed(self) -> None:
        """Drop every execution that read state which a confirmed call has just changed."""
        self._drop([key for key, execution in self._alive.items() if execution.tool.effect is not Effect.PURE])

    def end_turn(self) -> None:
        """Settle what the turn did not use: cancel what runs, write off what has finished. Returns at once."""
        self._drop(list(self._alive))

    async def aclose(self) -> None:
        """Wait until every cancelled tool has really stopped and every fork is gone. Raises what a discard raised."""
        self.end_turn()
        await asyncio.gather(*self._cancelled, return_exceptions=True)
        self._cancelled.clear()
        if self._publisher is not None:
            await self._publisher.aclose()
        discards, self._discards = self._discards, set()
        for discarded in await asyncio.gather(*discards, return_exceptions=True):
            if isinstance(discarded, BaseException):
                raise discarded

    def _drop(self, keys: list[CallKey]) -> None:
        for key in keys:
            execution = self._alive.pop(key)
            task = execution.task
            if not task.done():
                task.cancel()
                self._cancelled.add(task)
                self._end(key, execution, Fate.CANCELLED)
            else:
                self._end(key, execution, Fate.FAILED if task.result().is_error else Fate.WASTED)
            if execution.forked is not None:
                self._discards.add(asyncio.create_task(_discard(execution.forked, task)))

    def _end(self, key: CallKey, execution: _Execution, fate: Fate) -> None:
        task = execution.task
        has_finished = task.done() and not task.cancelled()
        self._recorder.emit(
            EventKind.EXECUTION_ENDED,
            self._turn,
            name=key.name,
            arguments=key.arguments,
            fate=fate,
            launched_s=execution.launched_s,
            duration_s=task.result().duration_s if has_finished else now_s() - execution.launched_s,
        )


async def _run(executor: ToolExecutor, tool: Tool, call: ToolCall, occurrence: int) -> Observation:
    return await executor(tool, call, occurrence)


async def _discard(forked: ForkedCall, task: asyncio.Task[Observation]) -> None:
    await asyncio.wait({task})
    await forked.discard()
