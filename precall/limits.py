"""Limits of tools: speculative executions keep to them, confirmed calls go first.

A tool may run `max_concurrency` calls at once (1: it is serial) and begin `max_rate_per_s` calls in any second.
Confirmed calls count towards both and are held to neither, as without speculation:

- A speculative execution that finds no room waits, and begins when there is some, in the order of the predictions.
- A confirmed call that finds no room takes that of the newest speculative execution, which is cancelled, not finished:
  to wait for it would delay the call by what speculation has begun. The call begins when what was cancelled has
  stopped, for a tool that ends at its cancellation at once. An execution whose call has been confirmed stays.
- A speculative execution begins only where one more confirmed call could begin in the same second. A tool whose calls
  follow each other faster than that may still meet its rate earlier than without speculation.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from precall.calls import Observation
from precall.events import now_s
from precall.tools import Tool

Execution = asyncio.Task[Observation]

_WINDOW_S = 1.0
NUM_RESERVED = 1
"""Calls of a second that speculation leaves to confirmed ones."""


@dataclass(slots=True, kw_only=True, eq=False)
class Slot:
    """The place of one predicted call at its tool. `cancel` withdraws it: a running execution is dropped by whoever
    launched it."""

    launch: Callable[[], Execution]
    cancel: Callable[[], None]
    execution: Execution | None = None
    is_confirmed: bool = False
    _usage: "_Usage | None" = None

    @property
    def is_waiting(self) -> bool:
        return self.execution is None

    def confirm(self) -> None:
        """Its call has been confirmed: nothing takes its place any more."""
        self.is_confirmed = True

    def withdraw(self) -> None:
        """It waits no more."""
        if self._usage is not None and self in self._usage.waiting:
            self._usage.waiting.remove(self)


@dataclass(slots=True, kw_only=True)
class _Usage:
    """What is going on at one tool."""

    tool: Tool
    running: dict[Execution, Slot] = field(default_factory=dict)
    num_confirmed: int = 0
    begun_s: deque[float] = field(default_factory=deque)
    waiting: deque[Slot] = field(default_factory=deque)
    timer: asyncio.TimerHandle | None = None

    @property
    def num_too_many(self) -> int:
        """How many calls run beyond the limit; negative: how many more may."""
        limit = self.tool.max_concurrency
        if limit is None:
            return -1
        return sum(not execution.done() for execution in self.running) + self.num_confirmed - limit

    def has_room(self) -> bool:
        return self.num_too_many < 0 and self._has_rate()

    def _has_rate(self) -> bool:
        rate = self.tool.max_rate_per_s
        if rate is None:
            return True
        while self.begun_s and self.begun_s[0] + _WINDOW_S <= now_s():
            self.begun_s.popleft()
        return len(self.begun_s) + 1 + NUM_RESERVED <= rate

    def begin(self) -> None:
        if self.tool.max_rate_per_s is not None:
            self.begun_s.append(now_s())


class ToolLimiter:
    """Knows what runs at each tool, by its name. Give one to all trajectories whose tools are the same services."""

    def __init__(self) -> None:
        self._usages: dict[str, _Usage] = {}

    def request(self, tool: Tool, launch: Callable[[], Execution], cancel: Callable[[], None]) -> Slot:
        """Call `launch` as soon as there is room, which may be at once."""
        slot = Slot(launch=launch, cancel=cancel)
        usage = self._usage_of(tool)
        if usage is None:
            slot.execution = launch()
            return slot
        slot._usage = usage
        usage.waiting.append(slot)
        self._fill(usage)
        return slot

    @asynccontextmanager
    async def confirmed(self, tool: Tool) -> AsyncGenerator[None, None]:
        """A confirmed call runs inside the block, which begins when there is room for it."""
        usage = self._usage_of(tool)
        if usage is None:
            yield
            return
        usage.num_confirmed += 1
        try:
            stopping = self._make_room(usage)
            if stopping:
                await asyncio.wait(stopping)
            usage.begin()
            yield
        finally:
            usage.num_confirmed -= 1
            self._fill(usage)

    def _make_room(self, usage: _Usage) -> set[Execution]:
        """Cancel what is too many, and return what the caller has to see stopped: of what is being cancelled already,
        then of the newest."""
        stopping: set[Execution] = set()
        running = [pair for pair in reversed(usage.running.items()) if not pair[0].done()]
        for execution, slot in sorted(running, key=lambda pair: not pair[0].cancelling()):
            if len(stopping) >= usage.num_too_many:
                break
            if slot.is_confirmed and not execution.cancelling():
                continue
            if not execution.cancelling():
                slot.cancel()
            stopping.add(execution)
        return stopping

    def _fill(self, usage: _Usage) -> None:
        while usage.waiting and usage.has_room():
            slot = usage.waiting.popleft()
            usage.begin()
            slot.execution = execution = slot.launch()
            usage.running[execution] = slot
            execution.add_done_callback(lambda ended: self._ended(usage, ended))
        self._set_timer(usage)

    def _ended(self, usage: _Usage, execution: Execution) -> None:
        del usage.running[execution]
        self._fill(usage)

    def _set_timer(self, usage: _Usage) -> None:
        if usage.timer is not None:
            usage.timer.cancel()
            usage.timer = None
        if usage.waiting and usage.begun_s and usage.num_too_many < 0:  # it is the rate that holds them back
            usage.timer = asyncio.get_running_loop().call_at(usage.begun_s[0] + _WINDOW_S, self._fill, usage)

    def _usage_of(self, tool: Tool) -> _Usage | None:
        if tool.max_concurrency is None and tool.max_rate_per_s is None:
            return None
        return self._usages.setdefault(tool.name, _Usage(tool=tool))
