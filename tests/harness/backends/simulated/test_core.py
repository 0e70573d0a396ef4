"""A core that threads share: timelines by hand."""

import asyncio

import pytest

from harness.backends.simulated.core import MessageThread, OnCore, SharedCore
from harness.backends.simulated.kv_cache import Segment
from harness.backends.simulated.rates import EngineModel, StepRates
from harness.backends.simulated.server import SimulatedServer
from precall.errors import ConfigError
from precall.events import now_s
from precall.testing.virtual_time import run_virtual


async def ends_of(*jobs: tuple[MessageThread, float, float]) -> list[float]:
    """Send each message (its thread, when, seconds of the core) and return when each has been handled."""

    async def send(thread: MessageThread, at_s: float, seconds: float) -> float:
        await asyncio.sleep(at_s)
        await thread.handle(seconds)
        return now_s()

    return await asyncio.gather(*(send(*job) for job in jobs))


def test_messages_of_one_thread_are_handled_side_by_side():
    async def main():
        thread = MessageThread(SharedCore())
        # Alone until 0.5; in halves until 1.5, when the first ends; then the second has 0.5 left.
        return await ends_of((thread, 0.0, 1.0), (thread, 0.5, 1.0), (thread, 5.0, 1.0))

    assert run_virtual(main()) == pytest.approx([1.5, 2.0, 6.0])


def test_messages_in_order_are_handled_one_after_the_other():
    async def main():
        thread = MessageThread(SharedCore(), in_order=True)
        # The second waits for the first; the third finds the thread idle.
        return await ends_of((thread, 0.0, 1.0), (thread, 0.5, 0.25), (thread, 5.0, 1.0))

    assert run_virtual(main()) == pytest.approx([1.0, 1.25, 6.0])


def test_a_server_handles_messages_in_their_order():
    async def main():
        server = SimulatedServer(MODEL, OnCore(core=SharedCore()))

        async def send() -> float:
            await server.carry_request()
            return now_s()

        return await asyncio.gather(send(), send())

    assert run_virtual(main()) == pytest.approx([0.5, 1.0])


def test_threads_with_work_share_the_core_in_equal_parts_however_many_messages_they_have():
    async def main():
        core = SharedCore()
        one, other = MessageThread(core), MessageThread(core)
        # `other` has half of the core for 3 s; the two messages of `one` a quarter each, and half each after that.
        return await ends_of((one, 0.0, 1.0), (one, 0.0, 1.0), (other, 0.0, 1.5))

    assert run_virtual(main()) == pytest.approx([3.5, 3.5, 3.0])


def test_a_thread_gets_of_the_core_what_its_weight_is_of_those_with_work():
    async def main():
        core = SharedCore()
        heavy, light = MessageThread(core, 1.0), MessageThread(core, 0.25)
        # A fifth of 5 s, then all of the core for the other second.
        return await ends_of((heavy, 0.0, 4.0), (light, 0.0, 2.0))

    assert run_virtual(main()) == pytest.approx([5.0, 6.0])


def test_a_background_takes_its_share_for_as_long_as_it_lasts():
    async def main():
        core = SharedCore()
        thread = MessageThread(core)
        asyncio.get_running_loop().call_later(1.0, core.set_background, 0.75)
        asyncio.get_running_loop().call_later(5.0, core.set_background, 0.0)
        return await ends_of((thread, 0.0, 3.0))

    assert run_virtual(main()) == pytest.approx([6.0])  # 1 s, then a quarter of 4 s, then 1 s


def test_a_background_leaves_a_tenth():
    async def main():
        core = SharedCore()
        core.set_background(3.0)
        return await ends_of((MessageThread(core), 0.0, 1.0))

    assert run_virtual(main()) == pytest.approx([10.0])


def test_a_caller_that_is_cancelled_leaves_its_message_to_the_server():
    async def main():
        thread = MessageThread(SharedCore())
        given_up = asyncio.create_task(thread.handle(2.0))
        after = asyncio.create_task(ends_of((thread, 0.5, 1.0)))
        await asyncio.sleep(1.0)
        given_up.cancel()
        return await after

    assert run_virtual(main()) == pytest.approx([2.5])  # without the other it would be 1.75


# One second a step.
MODEL = EngineModel(rates=StepRates(step_s=1.0), overhead_s=0.5)


def test_steps_on_the_core_take_longer_beside_messages_and_go_on_where_they_were():
    async def main():
        core = SharedCore()
        draft, thread = SimulatedServer(MODEL, OnCore(core=core, computes=True)), MessageThread(core)

        async def generate() -> float:
            await draft.generate((Segment("a", 10),), 4)
            return now_s()

        # The message takes half of the core for 2 s, in which the engine makes one step.
        return await asyncio.gather(generate(), ends_of((thread, 1.5, 1.0)))

    assert run_virtual(main()) == [pytest.approx(5.0), pytest.approx([3.5])]


def test_an_engine_on_the_core_that_was_idle_has_lost_no_time():
    async def main():
        draft = SimulatedServer(MODEL, OnCore(core=SharedCore(), computes=True))
        ends = []
        for _ in range(2):
            await asyncio.sleep(10.0)
            await draft.generate((Segment("a", 10),), 3)
            ends.append(now_s())
        return ends

    assert run_virtual(main()) == pytest.approx([13.0, 26.0])


def test_what_an_engine_elsewhere_generates_burdens_the_core_while_it_does():
    async def main():
        core = SharedCore(stream_token_s=0.25)
        target, thread = SimulatedServer(MODEL, OnCore(core=core)), MessageThread(core)
        generating = asyncio.create_task(target.generate((Segment("a", 10),), 4))
        ends = await ends_of((thread, 0.0, 2.0), (thread, 5.0, 1.0))
        await generating
        return ends

    # The prompt's step takes nothing, then a token a second a quarter; after 4 s nothing does.
    assert run_virtual(main()) == pytest.approx([1.0 + 1.0 / 0.75, 6.0])


def test_a_request_takes_the_client_and_the_server_and_an_answer_the_server_alone():
    async def main():
        server = SimulatedServer(MODEL, OnCore(core=SharedCore(client_s=2.0)))
        await server.carry_request()
        sent_s = now_s()
        await server.carry_answer()
        return sent_s, now_s()

    assert run_virtual(main()) == (pytest.approx(2.5), pytest.approx(3.0))


@pytest.mark.parametrize("name", ["client_s", "stream_token_s"])
def test_what_the_client_takes_is_not_negative(name):
    with pytest.raises(ConfigError, match=f"{name} is -1.0; it must be 0 or more"):
        SharedCore(**{name: -1.0})
