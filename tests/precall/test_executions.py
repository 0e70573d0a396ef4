"""Executions one by one: launch, take, drop, and the fate that each one is given."""

import asyncio

import pytest

from precall.calls import canonical_key
from precall.events import EventKind, EventRecorder
from precall.executions import Executions
from precall.testing.virtual_time import run_virtual
from precall.tools import Effect, run_tool
from tests.precall.worlds import World, call


class Bench:
    """Executions with a recorder, and one tool per effect that takes 2 s."""

    def __init__(self):
        self.events = []
        self.world = World()
        self.executions = Executions(run_tool, EventRecorder("t", self.events.append))

    def launch(self, name, effect=Effect.PURE, seconds=2.0, function=lambda **_: "ok"):
        tool, wanted = self.world.tool(name, effect, seconds, function), call(name)
        self.executions.launch(0, tool, wanted, canonical_key(wanted), 0)
        return canonical_key(wanted)

    @property
    def ended(self):
        ended = [event for event in self.events if event.kind is EventKind.EXECUTION_ENDED]
        return [(event.time_s, event.data["name"], event.data["fate"], event.data["duration_s"]) for event in ended]


def test_taking_a_finished_execution_is_a_ready_hit_and_takes_no_time():
    async def main():
        bench = Bench()
        key = bench.launch("f")
        await asyncio.sleep(3.0)
        outcome, observation = await bench.executions.take(key)
        assert (outcome, observation.content) == ("ready_hit", "ok")
        assert bench.ended == [(3.0, "f", "used", 2.0)]

    run_virtual(main())


def test_taking_a_running_execution_is_a_pending_hit_and_waits_for_the_rest():
    async def main():
        bench = Bench()
        key = bench.launch("f")
        await asyncio.sleep(0.5)
        outcome, observation = await bench.executions.take(key)
        assert (outcome, observation.content) == ("pending_hit", "ok")
        assert bench.ended == [(2.0, "f", "used", 2.0)]

    run_virtual(main())


def test_an_execution_is_taken_once():
    async def main():
        bench = Bench()
        key = bench.launch("f")
        await bench.executions.take(key)
        assert await bench.executions.take(key) == ("miss", None)
        bench.launch("f")  # and may be launched again
        await bench.executions.aclose()
        assert [fate for _, _, fate, _ in bench.ended] == ["used", "cancelled"]

    run_virtual(main())


def test_what_was_never_launched_is_a_miss():
    async def main():
        assert await Bench().executions.take(canonical_key(call("f"))) == ("miss", None)

    run_virtual(main())


def test_the_same_call_cannot_be_alive_twice():
    async def main():
        bench = Bench()
        bench.launch("f")
        with pytest.raises(AssertionError, match="already running"):
            bench.launch("f")
        await bench.executions.aclose()

    run_virtual(main())


def test_cancelling_whoever_waits_for_an_execution_leaves_it_running_until_it_is_dropped():
    async def main():
        bench = Bench()
        waiting = asyncio.create_task(bench.executions.take(bench.launch("f")))
        await asyncio.sleep(0.5)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert bench.ended == []
        await asyncio.sleep(0.5)
        await bench.executions.aclose()
        assert bench.ended == [(1.0, "f", "cancelled", 1.0)]
        assert bench.world.log[-1] == (1.0, "cancelled", "f", None)

    run_virtual(main())


def test_a_changed_state_drops_what_may_depend_on_it():
    async def main():
        bench = Bench()
        bench.launch("pure")
        bench.launch("read", Effect.READ)
        bench.launch("finished_read", Effect.READ, seconds=0.5)
        await asyncio.sleep(1.0)
        bench.executions.state_changed()
        assert bench.ended == [(1.0, "read", "cancelled", 1.0), (1.0, "finished_read", "wasted", 0.5)]
        assert (await bench.executions.take(canonical_key(call("pure"))))[0] == "pending_hit"
        assert (await bench.executions.take(canonical_key(call("read"))))[0] == "miss"

    run_virtual(main())


def test_a_failed_execution_is_a_miss_when_taken_and_failed_either_way():
    async def main():
        bench = Bench()
        taken = bench.launch("taken", function=lambda: 1 / 0)
        bench.launch("left", function=lambda: 1 / 0)
        await asyncio.sleep(1.0)
        assert await bench.executions.take(taken) == ("miss", None)
        bench.executions.end_turn()
        assert bench.ended == [(1.0, "taken", "failed", 0.0), (1.0, "left", "failed", 0.0)]

    run_virtual(main())


def test_closing_waits_until_cancelled_tools_have_stopped():
    async def main():
        bench, stopped = Bench(), []

        async def executor(tool, wanted, occurrence):
            try:
                return await run_tool(tool, wanted, occurrence)
            finally:
                await asyncio.sleep(3.0)
                stopped.append(asyncio.get_running_loop().time())

        bench.executions = Executions(executor, EventRecorder("t", bench.events.append))
        bench.launch("f")
        await asyncio.sleep(1.0)
        bench.executions.end_turn()
        assert stopped == []
        await bench.executions.aclose()
        assert stopped == [4.0]
        assert len(asyncio.all_tasks()) == 1

    run_virtual(main())
