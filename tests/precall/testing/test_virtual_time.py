"""Virtual time: jumps, deadlocks and threads."""

import asyncio
import threading
import time
from contextlib import suppress

import pytest

from precall.testing.virtual_time import DeadlockError, run_virtual


def now_s():
    return asyncio.get_running_loop().time()


def test_time_starts_at_zero_and_jumps_over_waits_of_any_length():
    async def main():
        assert now_s() == 0.0
        await asyncio.sleep(0.25)
        assert now_s() == 0.25
        await asyncio.sleep(1e6)
        return now_s()

    started = time.monotonic()
    assert run_virtual(main()) == 1e6 + 0.25
    assert time.monotonic() - started < 2.0


def test_timers_fire_in_the_order_of_their_times():
    async def main():
        order = []

        async def note(delay_s):
            await asyncio.sleep(delay_s)
            order.append((now_s(), delay_s))

        await asyncio.gather(*(note(delay_s) for delay_s in (3.0, 1.0, 2.0)))
        return order

    assert run_virtual(main()) == [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]


def test_timers_of_one_time_fire_in_the_order_in_which_they_were_set():
    async def main():
        loop, order = asyncio.get_running_loop(), []
        for number in range(50):
            loop.call_at(5.0 if number % 3 else 6.0, order.append, number)
        await asyncio.sleep(7.0)
        return order

    assert run_virtual(main()) == sorted(range(50), key=lambda number: (number % 3 == 0, number))


def test_an_order_among_timers_leaves_their_time_as_it_was_set():
    async def main():
        loop, times = asyncio.get_running_loop(), []
        loop.call_at(5.0, times.append, "cancelled").cancel()
        loop.call_at(5.0, lambda: times.append(now_s()))
        loop.call_at(5.0, lambda: times.append(now_s()))
        await asyncio.sleep(7.0)
        return times

    assert run_virtual(main()) == [5.0, 5.0]


def test_work_takes_no_time():
    async def main():
        for _ in range(100):
            await asyncio.sleep(0)
        time.sleep(0.01)  # noqa: ASYNC251  # real time must not show
        return now_s()

    assert run_virtual(main()) == 0.0


def test_a_time_limit_holds_in_virtual_time():
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5.0):
                await asyncio.Event().wait()
        return now_s()

    assert run_virtual(main()) == 5.0


@pytest.mark.leaves_tasks
def test_a_deadlock_raises_and_says_when():
    async def main():
        await asyncio.sleep(3.0)
        await asyncio.Event().wait()

    with pytest.raises(DeadlockError, match=r"Deadlock at 3 s of virtual time"):
        run_virtual(main())


@pytest.mark.leaves_tasks
def test_tasks_left_behind_are_cancelled():
    cancelled = []

    async def linger():
        try:
            await asyncio.sleep(100.0)
        except asyncio.CancelledError:
            cancelled.append(now_s())
            raise

    async def main():
        task = asyncio.create_task(linger())
        await asyncio.sleep(1.0)
        return task

    assert run_virtual(main()).cancelled()
    assert cancelled == [1.0]


def start_thread(work):
    """Run `work` in a thread; return a future of what it returns."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def run():
        returned = work()
        with suppress(RuntimeError):  # the loop may have closed
            loop.call_soon_threadsafe(lambda: future.done() or future.set_result(returned))

    threading.Thread(target=run, daemon=True).start()
    return future


def test_time_stands_still_while_a_thread_works():
    async def main():
        async with asyncio.timeout(1.0):
            await start_thread(lambda: time.sleep(0.1))
        return now_s()

    assert run_virtual(main()) == 0.0


def test_a_loop_that_only_a_thread_can_wake_is_no_deadlock():
    async def main():
        return await start_thread(lambda: time.sleep(0.05) or "woken")

    assert run_virtual(main()) == "woken"


def test_many_short_threads_never_let_time_slip():
    async def main():
        for _ in range(200):
            async with asyncio.timeout(0.001):
                await start_thread(lambda: None)
        return now_s()

    assert run_virtual(main()) == 0.0


def test_a_thread_that_hangs_holds_the_clock_until_patience_ends():
    release = threading.Event()

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30.0):
                await start_thread(lambda: release.wait(60.0))
        await asyncio.sleep(1.0)  # and is not waited for again
        return now_s()

    started = time.monotonic()
    assert run_virtual(main(), thread_patience_s=0.05) == 31.0
    assert time.monotonic() - started < 5.0
    release.set()


def test_a_pool_of_threads_is_refused():
    async def main():
        await asyncio.to_thread(lambda: None)

    with pytest.raises(RuntimeError, match="Virtual time cannot tell when a pool's thread works"):
        run_virtual(main())


def test_an_error_and_a_value_come_back():
    async def fail():
        raise KeyError("x")

    async def succeed():
        return 3

    with pytest.raises(KeyError):
        run_virtual(fail())
    assert run_virtual(succeed()) == 3
