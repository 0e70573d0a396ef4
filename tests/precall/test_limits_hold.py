"""Properties of the limits of tools, with agents that share one: they hold for every execution, and delay no turn."""

import asyncio
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from precall.events import EventKind, now_s
from precall.limits import ToolLimiter
from precall.testing.scripted import ScriptedDraft, ScriptedTarget
from precall.testing.virtual_time import run_virtual
from precall.tools import Effect
from tests.precall.worlds import Run, World, call, generation, run_trajectory, sample

SECONDS = st.integers(0, 24).map(lambda eighths: eighths / 8)
NUMBERS = st.integers(0, 3)
TURNS = st.lists(st.tuples(SECONDS, st.lists(NUMBERS, max_size=3)), min_size=1, max_size=4)
AGENTS = st.lists(
    TURNS.flatmap(
        lambda turns: st.tuples(
            st.just(turns),
            st.lists(
                st.lists(st.tuples(SECONDS, st.lists(NUMBERS, max_size=3)), max_size=2),
                min_size=len(turns),
                max_size=len(turns),
            ),
        )
    ),
    min_size=1,
    max_size=3,
)


class Service:
    """A tool that agents share: it really takes `num` calls at once, others queue up inside it. `max_at_execution` is
    how many calls it had, at most, when an execution began; a confirmed call runs in the task of its agent."""

    def __init__(self, num, seconds):
        self.room = asyncio.Semaphore(num)
        self.seconds = seconds
        self.starts = []
        self.agents = set()
        self.num_running = self.max_at_execution = 0

    async def run(self):
        self.starts.append(now_s())
        self.num_running += 1
        if asyncio.current_task() not in self.agents:
            self.max_at_execution = max(self.max_at_execution, self.num_running)
        try:
            async with self.room:
                await asyncio.sleep(self.seconds)
        finally:
            self.num_running -= 1
        return "ok"


async def agents_at_work(agents, num, seconds, *, is_speculating):
    service, limiter, runs = Service(num, seconds), ToolLimiter(), [Run() for _ in agents]

    async def function(**_):
        return await service.run()

    tool = replace(World().tool("f", Effect.READ, 0.0, max_concurrency=num, timeout_s=1e6), function=function)

    async def work(run, turns, guesses):
        service.agents.add(asyncio.current_task())
        target = ScriptedTarget([[generation(s, *(call("f", x=x) for x in xs))] for s, xs in turns])
        samples = [[sample(s, *(call("f", x=x) for x in xs)) for s, xs in turn] for turn in guesses]
        draft = ScriptedDraft(turns=samples) if is_speculating else None
        await run_trajectory(run, target, [tool], len(turns), draft, limiter=limiter)

    await asyncio.gather(*(work(run, *agent) for run, agent in zip(runs, agents, strict=True)))
    assert asyncio.all_tasks() == {asyncio.current_task()}, "something outlived its trajectory"
    return runs, service


@settings(max_examples=80, deadline=None)
@given(AGENTS, st.integers(1, 2), SECONDS)
def test_executions_never_exceed_a_tools_concurrency(agents, num, seconds):
    runs, service = run_virtual(agents_at_work(agents, num, seconds, is_speculating=True))
    assert service.max_at_execution <= num
    for run, (turns, _) in zip(runs, agents, strict=True):
        assert run.ledger.num_confirmed == sum(len(xs) for _, xs in turns)  # the balances hold, too, or this raises


@settings(max_examples=80, deadline=None)
@given(AGENTS.map(lambda agents: agents[:1]), st.integers(1, 2), SECONDS)
def test_speculation_on_a_tool_that_is_serial_delays_no_turn(agents, num, seconds):
    (off,), _ = run_virtual(agents_at_work(agents, num, seconds, is_speculating=False))
    (on,), _ = run_virtual(agents_at_work(agents, num, seconds, is_speculating=True))
    assert on.messages == off.messages
    for on_s, off_s in zip(on.turn_ends_s, off.turn_ends_s, strict=True):
        assert on_s <= off_s + 1e-9


RATES = st.integers(2, 4)


@settings(max_examples=60, deadline=None)
@given(AGENTS, RATES)
def test_what_speculation_begins_never_fills_a_tools_rate(agents, rate):
    limiter, runs, begun = ToolLimiter(), [Run() for _ in agents], []
    tool = World().tool("f", Effect.READ, 0.125, max_rate_per_s=float(rate))

    async def work(run, turns, guesses):
        target = ScriptedTarget([[generation(s, *(call("f", x=x) for x in xs))] for s, xs in turns])
        samples = [[sample(s, *(call("f", x=x) for x in xs)) for s, xs in turn] for turn in guesses]
        await run_trajectory(run, target, [tool], len(turns), ScriptedDraft(turns=samples), limiter=limiter)

    async def main():
        await asyncio.gather(*(work(run, *agent) for run, agent in zip(runs, agents, strict=True)))

    run_virtual(main())
    for run in runs:
        begun += [(event.time_s, True) for event in run.events if event.kind is EventKind.EXECUTION_LAUNCHED]
        begun += [
            (event.data["confirmed_s"], False)
            for event in run.events
            if event.kind is EventKind.CALL_SETTLED and event.data["outcome"] == "miss"
        ]
    for time_s, is_speculative in begun:
        if is_speculative:
            # Of the second that ends here, what began earlier; at this very moment the order is not known.
            before = sum(time_s - 1.0 < other_s < time_s for other_s, _ in begun)
            together = sum(other_s == time_s and is_one for other_s, is_one in begun)
            assert before + together <= rate - 1
