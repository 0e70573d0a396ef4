"""Helpers of the library's tests: timed tools over a state, and one trajectory on virtual time."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from precall.adaptive import AdaptiveSwitch
from precall.calls import ToolCall
from precall.drafts.protocol import Draft
from precall.errors import StaleForkError
from precall.events import Event, EventKind, EventRecorder, now_s
from precall.ledger import Ledger
from precall.limits import ToolLimiter
from precall.policy import LaunchPolicy
from precall.speculation import ClientSpeculation, NoSpeculation, Speculation
from precall.testing.scripted import ScriptedDraft, ScriptedGeneration, ScriptedSample, ScriptedTarget
from precall.testing.scripted_engine import ScriptedEngine
from precall.tool_cache import ToolCachePublisher
from precall.tools import Effect, Tool, ToolExecutor, run_tool
from precall.turn import Target, Turn, TurnRunner

ANY_OBJECT: dict[str, Any] = {"type": "object"}


def call(name: str, **arguments: Any) -> ToolCall:
    """Return a call of `name` with these arguments."""
    return ToolCall(name=name, arguments=json.dumps(arguments))


def generation(duration_s: float, *calls: ToolCall) -> ScriptedGeneration:
    """Return a target's turn that takes `duration_s` and asks for `calls`."""
    return ScriptedGeneration(duration_s=duration_s, calls=calls, content="" if calls else "done")


def sample(delay_s: float, *calls: ToolCall) -> ScriptedSample:
    """Return a draft's sample that is complete after `delay_s` and predicts `calls`."""
    return ScriptedSample(delay_s=delay_s, calls=calls)


@dataclass(slots=True, kw_only=True)
class World:
    """State, tools over it, and a log of what ran: (seconds, "start" | "end" | "cancelled", tool, first argument)."""

    state: list[int] = field(default_factory=list)
    log: list[tuple[float, str, str, Any]] = field(default_factory=list)
    version: int = 0
    num_forks: int = 0

    def tool(
        self, name: str, effect: Effect, seconds: float, function: Callable[..., Any] = lambda **_: "ok", **limits: Any
    ) -> Tool:
        """Return an asynchronous tool that works at once, then takes `seconds` before it answers."""

        async def run(**arguments: Any) -> Any:
            argument = next(iter(arguments.values()), None)
            self.log.append((now_s(), "start", name, argument))
            try:
                returned = function(**arguments)
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                self.log.append((now_s(), "cancelled", name, argument))
                raise
            self.log.append((now_s(), "end", name, argument))
            return returned

        return Tool(name=name, description="", parameters=ANY_OBJECT, function=run, effect=effect, **limits)

    def reader(self, seconds: float, name: str = "read") -> Tool:
        return self.tool(name, Effect.READ, seconds, lambda **_: list(self.state))

    def writer(self, seconds: float, name: str = "write") -> Tool:
        return self.tool(name, Effect.WRITE, seconds, lambda x: self.state.append(x))

    def workspace_tool(
        self, name: str, seconds: float, function: Callable[..., Any], fork_s: float = 0.0, **limits: Any
    ) -> Tool:
        """Return a tool that changes the state and nothing else: `function` is given the state, or a fork's."""

        def work(**arguments: Any) -> Any:
            self.version += 1
            return function(self.state, **arguments)

        async def fork() -> WorldFork:
            await asyncio.sleep(fork_s)
            state, version = list(self.state), self.version
            in_fork = self.tool(name, Effect.WRITE, seconds, lambda **arguments: function(state, **arguments))
            self.num_forks += 1
            return WorldFork(world=self, state=state, version=version, run=in_fork.function)

        return replace(self.tool(name, Effect.WORKSPACE, seconds, work, **limits), fork=fork)

    def starts(self, name: str) -> list[float]:
        """Return when each run of the tool `name` began."""
        return [time_s for time_s, what, tool, _ in self.log if (what, tool) == ("start", name)]


@dataclass(slots=True, kw_only=True)
class WorldFork:
    """A fork of a world's state. `num_forks` of the world counts those that are neither committed nor discarded."""

    world: World
    state: list[int]
    version: int
    run: Callable[..., Any]
    is_over: bool = False
    is_running: bool = False

    async def function(self, **arguments: Any) -> Any:
        self.is_running = True
        try:
            return await self.run(**arguments)
        finally:
            try:
                await asyncio.sleep(0)  # what is stopped takes a moment to stop
            finally:
                self.is_running = False

    async def commit(self) -> bool:
        if self.version != self.world.version:
            raise StaleForkError("the state has changed")
        has_changed = self.state != self.world.state
        self.world.state[:] = self.state
        self.world.version += has_changed
        self._end()
        return has_changed

    async def discard(self) -> None:
        assert not self.is_running, "the fork is still being worked in"
        self._end()

    def _end(self) -> None:
        self.world.num_forks -= not self.is_over
        self.is_over = True


@dataclass(slots=True, kw_only=True)
class Run:
    """What one trajectory left behind. `turn_ends_s` and `finished_s` are virtual seconds."""

    messages: list[dict[str, Any]] = field(default_factory=lambda: [{"role": "user", "content": "go"}])
    turns: list[Turn] = field(default_factory=list)
    turn_ends_s: list[float] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    finished_s: float | None = None
    tasks_left: set[asyncio.Task[Any]] = field(default_factory=set)

    @property
    def ledger(self) -> Ledger:
        return Ledger.from_events(self.events)

    def data(self, kind: EventKind, entry: str) -> list[Any]:
        """Return one entry of every event of a kind, in order."""
        return [event.data[entry] for event in self.events if event.kind is kind]

    def times_s(self, kind: EventKind) -> list[float]:
        return [event.time_s for event in self.events if event.kind is kind]

    @property
    def outcomes(self) -> list[str]:
        return self.data(EventKind.CALL_SETTLED, "outcome")

    @property
    def fates(self) -> list[str]:
        return self.data(EventKind.EXECUTION_ENDED, "fate")

    def contents(self, turn: int = 0) -> list[str]:
        return [observation.content for observation in self.turns[turn].observations]


async def run_trajectory(
    run: Run,
    target: Target,
    tools: Sequence[Tool],
    num_responses: int,
    draft: Draft | None = None,
    policy: LaunchPolicy | None = None,
    executor: ToolExecutor = run_tool,
    limiter: ToolLimiter | None = None,
    switch: AdaptiveSwitch | None = None,
) -> None:
    """Run a trajectory into `run`; without a draft speculation is off. Whatever ends it, `run.tasks_left` is set."""
    recorder = EventRecorder("t", run.events.append)
    speculation: Speculation = NoSpeculation()
    if draft is not None:
        speculation = ClientSpeculation(
            draft, policy or LaunchPolicy(), executor, recorder, limiter=limiter, switch=switch
        )
    runner = TurnRunner(target, speculation, tools, executor, recorder)
    try:
        for _ in range(num_responses):
            async for turn in runner.run_response(run.messages):
                run.turns.append(turn)
                run.turn_ends_s.append(now_s())
    finally:
        await speculation.aclose()
        run.finished_s = now_s()
        run.tasks_left = {task for task in asyncio.all_tasks() if not task.done()} - {asyncio.current_task()}


async def run_engine(
    script: Sequence[ScriptedGeneration],
    tools: Sequence[Tool],
    samples: Sequence[Sequence[ScriptedSample]],
    policy: LaunchPolicy | None = None,
    **options: Any,
) -> tuple[Run, ScriptedEngine]:
    """Run the scripted trajectory, which ends with a turn without calls, on an engine with a tool cache."""
    run, engine, draft = Run(), ScriptedEngine(script=script, **options), ScriptedDraft(turns=samples)
    recorder = EventRecorder("t", run.events.append)
    engine.publisher = ToolCachePublisher(engine, recorder)
    speculation = ClientSpeculation(draft, policy or LaunchPolicy(), run_tool, recorder, engine.publisher)
    runner = TurnRunner(engine, speculation, tools, run_tool, recorder)
    try:
        while run.messages[-1]["role"] != "assistant":
            async for turn in runner.run_response(run.messages):
                run.turns.append(turn)
                run.turn_ends_s.append(now_s())
    finally:
        await speculation.aclose()
        run.finished_s = now_s()
        run.tasks_left = {task for task in asyncio.all_tasks() if not task.done()} - {asyncio.current_task()}
    assert not run.tasks_left, f"{run.tasks_left} outlived the trajectory"
    assert draft.num_running == 0, "a request to the draft outlived the trajectory"
    return run, engine


async def run_script(
    responses: Sequence[Sequence[ScriptedGeneration]],
    tools: Sequence[Tool],
    samples: Sequence[Sequence[ScriptedSample]] | None = None,
    policy: LaunchPolicy | None = None,
    executor: ToolExecutor = run_tool,
) -> Run:
    """Run the scripted trajectory to its end; `samples` are the draft's, per turn, and None switches speculation
    off."""
    run = Run()
    draft = None if samples is None else ScriptedDraft(turns=samples)
    await run_trajectory(run, ScriptedTarget(responses), tools, len(responses), draft, policy, executor)
    assert not run.tasks_left, f"{run.tasks_left} outlived the trajectory"
    assert draft is None or draft.num_running == 0, "a request to the draft outlived the trajectory"
    return run
