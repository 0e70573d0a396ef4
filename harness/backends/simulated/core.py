"""One core that several threads share, in virtual time: while n of them have work, each gets an n-th of it.

A server's message handling is a thread, and so is an engine that computes there. A thread does its jobs in their order.
Source: ours; egalitarian processor sharing between threads (what a fair scheduler of an operating system comes to), first
come, first served within one.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from math import inf

_ROUNDING_S = 1e-9
MOST_BACKGROUND = 0.9
"""However much the background takes, a tenth of the core is left for the threads."""


class Thread:
    """One thread. `work_s` is its own clock: the seconds of the core that it has had. At `due_s` of that clock `on_due`
    is called, which sets the next; inf while there is nothing to do."""

    def __init__(self, core: "SharedCore", on_due: Callable[[], None]) -> None:
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
    """The core. `set_background` says which share of it something takes whose single steps are not looked at."""

    def __init__(self) -> None:
        self._threads: list[Thread] = []
        self._background = 0.0
        self._caught_up_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def thread(self, on_due: Callable[[], None] = lambda: None) -> Thread:
        thread = Thread(self, on_due)
        self._threads.append(thread)
        return thread

    def set_background(self, share: float) -> None:
        share = min(share, MOST_BACKGROUND)
        if share != self._background:
            self.catch_up()
            self._background = share
            self.plan()

    def _rate(self) -> float:
        """Return the seconds of the core that each busy thread gets in a second."""
        num_busy = sum(thread.due_s < inf for thread in self._threads)
        return (1.0 - self._background) / max(1, num_busy)

    def catch_up(self) -> None:
        """Let the threads' clocks run to this moment."""
        now_s = asyncio.get_running_loop().time()
        passed_s, self._caught_up_s = now_s - self._caught_up_s, now_s
        if passed_s:
            rate = self._rate()
            for thread in self._threads:
                if thread.due_s < inf:
                    thread.work_s = min(thread.due_s, thread.work_s + rate * passed_s)

    def plan(self) -> None:
        """Wake up when the first thread will be due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        left_s = min((thread.due_s - thread.work_s for thread in self._threads), default=inf)
        if left_s < inf:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._caught_up_s + left_s / self._rate(), self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.catch_up()
        for thread in self._threads:
            if thread.due_s - thread.work_s <= _ROUNDING_S:
                thread.work_s, thread.due_s = thread.due_s, inf
                thread.on_due()
        self.plan()


class MessageThread:
    """A server's thread that handles messages, one after the other."""

    def __init__(self, core: SharedCore) -> None:
        self._thread = core.thread(self._end_first)
        self._jobs: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._ends_s = 0.0

    async def handle(self, seconds: float) -> None:
        """Return when a message has been handled that takes so many seconds of the core. A caller that is cancelled
        leaves the work with the server."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ends_s = max(self._ends_s, self._thread.now_s()) + seconds
        self._jobs.append((self._ends_s, done))
        self._thread.set_due(self._jobs[0][0])
        await done

    def _end_first(self) -> None:
        _, done = self._jobs.popleft()
        if not done.done():
            done.set_result(None)
        self._thread.due_s = self._jobs[0][0] if self._jobs else inf
