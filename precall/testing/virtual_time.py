"""Virtual time: an event loop whose clock jumps to the next timer instead of waiting for it.

Rules:
- Time passes only when nothing is ready to run; it then jumps to the next timer. `loop.time()` starts at 0.
- Timers of one time fire in the order in which they were set, which asyncio leaves open.
- Nothing ready and no timer is a deadlock, and raises DeadlockError.
- Time stands still while a thread works that was started during the run (a plain tool has one): the loop waits for it
  in real time. A thread that works longer than `thread_patience_s` counts as hung, and holds the clock no more.
- Pools of threads are refused, since an idle thread of a pool looks like one that works; so are real connections to
  hosts by name, which need a pool. Other real input and output is not waited for.
"""

import asyncio
import math
import selectors
import threading
import time
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")
_SLICE_S = 0.001
_MANY = 10_000


class DeadlockError(RuntimeError):
    """Every task waits, and nothing is left that could wake one."""


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[valid-type,misc]  # the class depends on the platform
    """Stands where the loop would wait for input: advances the virtual clock instead of waiting."""

    def __init__(self, thread_patience_s: float) -> None:
        super().__init__()
        self.now_s = 0.0
        # Times that were set a little later to keep an order, and the times that were meant.
        self.meant: dict[float, float] = {}
        self._thread_patience_s = thread_patience_s
        # Threads that do not hold the clock: those from before the run, and those that hung.
        self._ignored = set(threading.enumerate())

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        ready = self._await_threads()
        if ready:
            return ready
        if timeout is None:
            raise DeadlockError(
                f"Deadlock at {self.now_s:g} s of virtual time: every task waits, and there is no timer and no thread "
                "that could wake one."
            )
        self.now_s += timeout
        self.now_s = self.meant.get(self.now_s, self.now_s)
        return []

    def _await_threads(self) -> list[tuple[selectors.SelectorKey, int]]:
        give_up_s = time.monotonic() + self._thread_patience_s
        while True:
            # In this order: a thread wakes the loop before it ends, so what is seen to have ended has woken it.
            working = set(threading.enumerate()) - self._ignored
            ready = super().select(_SLICE_S if working else 0)
            if ready or not working:
                return ready
            if time.monotonic() >= give_up_s:
                self._ignored |= working


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time; the rules are in the module's docstring."""

    def __init__(self, thread_patience_s: float = 5.0) -> None:
        self._jumping = _JumpingSelector(thread_patience_s)
        super().__init__(self._jumping)
        self._last_at: dict[float, float] = {}

    def time(self) -> float:
        return self._jumping.now_s

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        # The smallest step later than the last one for this time: too little for the clock, enough for the order.
        last_s = self._last_at.get(when)
        given_s = when if last_s is None else math.nextafter(last_s, math.inf)
        if len(self._last_at) > _MANY:
            now_s = self._jumping.now_s
            self._last_at = {time_s: last for time_s, last in self._last_at.items() if time_s >= now_s}
            self._jumping.meant = {given: time_s for given, time_s in self._jumping.meant.items() if given >= now_s}
        self._last_at[when] = given_s
        if given_s != when:
            self._jumping.meant[given_s] = when
        return super().call_at(given_s, callback, *args, context=context)

    def run_in_executor(self, *_: Any) -> NoReturn:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise RuntimeError("Virtual time cannot tell when a pool's thread works; start a thread of its own instead.")


def run_virtual(coroutine: Coroutine[Any, Any, T], *, thread_patience_s: float = 5.0) -> T:
    """Run `coroutine` to its end on virtual time that starts at 0, and return what it returns.

    Tasks that it leaves behind are cancelled. Raises DeadlockError when nothing is left that could wake a task.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(thread_patience_s)) as runner:
        return runner.run(coroutine)
