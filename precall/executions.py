"""Executions: predicted calls that were launched, from launch to their fate. One object serves one trajectory."""

import asyncio
from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from precall.calls import CallKey, Observation, ToolCall
from precall.errors import ForkError
from precall.events import EventKind, EventRecorder, now_s
from precall.forks import ForkedCall
from precall.limits import Slot, ToolLimiter
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


@dataclass(slots=True, kw_only=True)
class _Execution:
    tool: Tool
    task: asyncio.Task[Observation]
    launched_s: float
    forked: ForkedCall | None
    slot: Slot | None


class Publisher(Protocol):
    """Hears of every execution, so that it can tell others what the tool returned."""

    def launched(self, turn: int, tool: Tool, call: ToolCall, execution: asyncio.Task[Observation]) -> None:
        """Returns at once."""

    async def aclose(self) -> None: ...


class Executions:
    """The executions of one turn at a time; `end_turn` settles whatever the turn did not use, so that none of an
    earlier turn is alive when a call is launched.

    `cost` is that of all executions but the used ones, those that wait for their tool's limits included.
    """

    def __init__(
        self,
        executor: ToolExecutor,
        recorder: EventRecorder,
        publisher: Publisher | None = None,
        limiter: ToolLimiter | None = None,
    ) -> None:
        self._executor = executor
        self._recorder = recorder
        self._publisher = publisher
        self._limiter = limiter or ToolLimiter()
        self.cost = 0.0
        self._turn = 0
        self._alive: dict[CallKey, _Execution] = {}
        self._waiting: dict[CallKey, tuple[Slot, Tool]] = {}
        self._cancelled: set[asyncio.Task[Observation]] = set()
        self._discards: set[asyncio.Task[None]] = set()

    def launch(self, turn: int, tool: Tool, call: ToolCall, key: CallKey, occurrence: int) -> None:
        """Start `call` in a task of its own as soon as its tool's limits leave room; `key` is not alive, and the policy
        has allowed it."""
        assert key not in self._alive and key not in self._waiting, f"{key} is already running"
        self._turn = turn
        self.cost += tool.cost
        slot = self._limiter.request(
            tool,
            launch=lambda: self._launch(turn, tool, call, key, occurrence),
            cancel=lambda: self._drop([key]),
        )
        if slot.is_waiting:
            self._waiting[key] = slot, tool
        else:
            self._alive[key].slot = slot

    def _launch(
        self, turn: int, tool: Tool, call: ToolCall, key: CallKey, occurrence: int
    ) -> asyncio.Task[Observation]:
        slot, _ = self._waiting.pop(key, (None, None))
        forked = ForkedCall(tool, call) if tool.effect is Effect.WORKSPACE else None
        running = (
            _run(self._executor, tool, call, occurrence) if forked is None else forked.run(self._executor, occurrence)
        )
        task = asyncio.create_task(running)
        self._alive[key] = _Execution(tool=tool, task=task, launched_s=now_s(), forked=forked, slot=slot)
        self._recorder.emit(EventKind.EXECUTION_LAUNCHED, turn, name=key.name, arguments=key.arguments)
        # What was done in a fork holds once this side has committed it, and not before: it is told to nobody.
        if self._publisher is not None and forked is None:
            self._publisher.launched(turn, tool, call, task)
        return task

    def confirmed(self, tool: Tool) -> AbstractAsyncContextManager[None]:
        """Around the run of a confirmed call that has no execution: executions make room for it at its tool."""
        return self._limiter.confirmed(tool)

    async def take(self, key: CallKey) -> tuple[Outcome, Observation | None]:
        """Hand over the observation for `key`, waiting for it if the tool still runs. A miss comes with None.

        What was done in a fork is the state before its observation is handed over; when it cannot be, it is a miss.
        """
        self._give_up([key])
        execution = self._alive.get(key)
        if execution is None:
            return Outcome.MISS, None
        if execution.slot is not None:
            execution.slot.confirm()
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
        self._give_up([key])
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

    def keep_only(self, keys: Collection[CallKey]) -> None:
        """Settle what the turn does not need: cancel what runs, write off what has finished, give up what waits."""
        self._give_up([key for key in self._waiting if key not in keys])
        self._drop([key for key in self._alive if key not in keys])

    def end_turn(self) -> None:
        """Settle what the turn did not use. Returns at once."""
        self.keep_only(())

    def _give_up(self, keys: Collection[CallKey]) -> None:
        """Withdraw calls that wait for their tool's limits: they were never launched."""
        for key in keys:
            if key in self._waiting:
                slot, tool = self._waiting.pop(key)
                slot.withdraw()
                self.cost -= tool.cost
                refused = {"name": key.name, "arguments": key.arguments, "reason": "limits of the tool"}
                self._recorder.emit(EventKind.EXECUTION_REFUSED, self._turn, **refused)

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
        if fate is Fate.USED:
            self.cost -= execution.tool.cost
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
