"""One core that several threads share, in virtual time: those that have work get it in proportion to their weights.

The client is a thread, each server's message handling is one, and so is an engine that computes there. Source: ours;
processor sharing, weighted between threads, as a fair scheduler of an operating system comes to, and equal between the
messages of a thread, as an event loop does. `harness/build.py` places servers so on a machine with two cores.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from math import inf

from precall.errors import ConfigError

_ROUNDING_S = 1e-9
MOST_BACKGROUND = 0.9
"""However much the background takes, a tenth of the core is left for the threads."""


class Thread:
    """One thread. `work_s` is its own clock: the seconds of the core that it has had. At `due_s` of that clock `on_due`
    is called, which sets the next; inf while there is nothing to do."""

    def __init__(self, core: "SharedCore", on_due: Callable[[], None], weight: float) -> None:
        self.weight = weight
        self.work_s = 0.0
        self.due_s = inf
        self.on_due = on_due
        self._core = core

    def now_s(self) -> float:
        """Return the thread's clock as of this moment."""
        self._core.catch_up()
        return self.work_s

    def set_due(self, due_s: float) -> None:
        """Say when the thread next has something to do, on its own clock; to be called after `now_s`."""
        self.due_s = due_s
        self._core.plan()


class SharedCore:
    """The core, on which the client is: it takes `client_s` to send a request, and it and the servers `stream_token_s`
    for each token that comes. `set_background` says which share of the core something takes whose single steps are not
    looked at."""

    def __init__(self, *, client_s: float = 0.0, stream_token_s: float = 0.0) -> None:
        for name, value in (("client_s", client_s), ("stream_token_s", stream_token_s)):
            if not 0.0 <= value < inf:
                raise ConfigError(f"{name} is {value}; it must be 0 or more.")
        self.client_s = client_s
        self.stream_token_s = stream_token_s
        self._threads: list[Thread] = []
        self._background = 0.0
        self._caught_up_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.client = MessageThread(self)

    def thread(self, on_due: Callable[[], None], weight: float = 1.0) -> Thread:
        thread = Thread(self, on_due, weight)
        self._threads.append(thread)
        return thread

    def set_background(self, share: float) -> None:
        share = min(share, MOST_BACKGROUND)
        if share != self._background:
            self.catch_up()
            self._background = share
            self.plan()

    def _busy(self) -> list[Thread]:
        return [thread for thread in self._threads if thread.due_s < inf]

    def _rate(self, busy: Sequence[Thread]) -> float:
        """Return the seconds of the core that a thread of weight 1 gets in a second, beside those that are busy."""
        return (1.0 - self._background) / sum(thread.weight for thread in busy)

    def catch_up(self) -> None:
        """Let the threads' clocks run to this moment."""
        now_s = asyncio.get_running_loop().time()
        passed_s, self._caught_up_s = now_s - self._caught_up_s, now_s
        busy = self._busy()
        if passed_s and busy:
            rate = self._rate(busy)
            for thread in busy:
                thread.work_s = min(thread.due_s, thread.work_s + thread.weight * rate * passed_s)

    def plan(self) -> None:
        """Wake up when the first thread will be due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        busy = self._busy()
        if busy:
            left_s = min((thread.due_s - thread.work_s) / thread.weight for thread in busy)
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._caught_up_s + left_s / self._rate(busy), self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.catch_up()
        for thread in self._threads:
            if thread.due_s - thread.work_s <= _ROUNDING_S:
                thread.work_s, thread.due_s = thread.due_s, inf
                thread.on_due()
        self.plan()


class MessageThread:
    """A thread that handles messages side by side, in equal parts, or, `in_order`, one after the other."""

    def __init__(self, core: SharedCore, weight: float = 1.0, *, in_order: bool = False) -> None:
        self._in_order = in_order
        self._thread = core.thread(self._end_first, weight)
        # By what each message will have had of the thread when it ends, of which those there are have had the same
        # since they came: `_level_s`, as of `_leveled_s` of the thread's clock.
        self._messages: list[tuple[float, int, asyncio.Future[None]]] = []
        self._level_s = self._leveled_s = 0.0
        self._tie = count()

    async def handle(self, seconds: float) -> None:
        """Return when a message has been handled that takes so many seconds of the core. A caller that is cancelled
        leaves the work with the server."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._level(self._thread.now_s())
        before_s = max(end for end, *_ in self._messages) if self._in_order and self._messages else self._level_s
        heappush(self._messages, (before_s + seconds, next(self._tie), done))
        self._thread.set_due(self._next_due_s())
        await done

    def _level(self, work_s: float) -> None:
        if self._messages:
            self._level_s += (work_s - self._leveled_s) / self._num_at_once
        self._leveled_s = work_s

    def _next_due_s(self) -> float:
        if not self._messages:
            return inf
        return self._leveled_s + (self._messages[0][0] - self._level_s) * self._num_at_once

    @property
    def _num_at_once(self) -> int:
        return 1 if self._in_order else len(self._messages)

    def _end_first(self) -> None:
        self._level(self._thread.work_s)
        self._level_s, _, done = heappop(self._messages)
        if not done.done():
            done.set_result(None)
        self._thread.due_s = self._next_due_s()


@dataclass(frozen=True, slots=True, kw_only=True)
class OnCore:
    """Where a server is that shares a core: a thread of `weight` handles its messages there, and with `computes`
    another one its engine's steps."""

    core: SharedCore
    computes: bool = False
    weight: float = 1.0
