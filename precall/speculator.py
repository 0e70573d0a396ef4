"""The short way in: everything that speculation needs, put together once for all trajectories of an agent.

Below it are the parts that the kit's own agents use: TurnRunner, ClientSpeculation, EventRecorder, Ledger.
"""

import itertools
from collections.abc import Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self

from precall.adaptive import AdaptiveSwitch
from precall.drafts.protocol import Draft
from precall.errors import ConfigError
from precall.events import Event, EventKind, EventRecorder, EventSink
from precall.ledger import Ledger
from precall.limits import ToolLimiter
from precall.policy import LaunchPolicy
from precall.speculation import ClientSpeculation, NoSpeculation, Speculation
from precall.spending import SpendingCap
from precall.tools import Tool, ToolExecutor, run_tool
from precall.turn import Target, Turn, TurnRunner


class Speculator:
    """Gives an agent's loop trajectories whose turns are speculated on.

    `draft` serves all trajectories; None switches speculation off, in the same code. `policy`, `switch` and `cap` bound
    it (docs/client.md), `executor` runs tools, and `sink` hears of every event. The limits of tools hold over all
    trajectories.
    """

    def __init__(
        self,
        target: Target,
        draft: Draft | None,
        tools: Sequence[Tool],
        *,
        policy: LaunchPolicy | None = None,
        switch: AdaptiveSwitch | None = None,
        cap: SpendingCap | None = None,
        executor: ToolExecutor = run_tool,
        sink: EventSink | None = None,
    ) -> None:
        self._target = target
        self._draft = draft
        self._tools = tools
        self._policy = policy or LaunchPolicy()
        self._switch = switch
        self._cap = cap
        self._executor = executor
        self._sink = sink
        self._limiter = ToolLimiter()
        self._numbers = itertools.count(1)

    def trajectory(self, draft: Draft | None = None) -> "SpeculativeTrajectory":
        """Return a new trajectory, to be entered with `async with`. A `draft` of its own is for drafts that serve one
        trajectory, such as PatternDraft."""
        recorder = EventRecorder(f"trajectory {next(self._numbers)}", self._sink or _drop)
        draft = self._draft if draft is None else draft
        speculation: Speculation = NoSpeculation()
        if draft is not None:
            speculation = ClientSpeculation(
                draft,
                self._policy,
                self._executor,
                recorder,
                limiter=self._limiter,
                switch=self._switch,
                cap=self._cap,
            )
        runner = TurnRunner(self._target, speculation, self._tools, self._executor, recorder)
        return SpeculativeTrajectory(runner, speculation, recorder)


class SpeculativeTrajectory:
    """One task's turns. Leaving the `async with` stops whatever speculation still has under way and waits for its end;
    `ledger` then says what became of every call."""

    def __init__(self, runner: TurnRunner, speculation: Speculation, recorder: EventRecorder) -> None:
        self._runner = runner
        self._speculation = speculation
        self._recorder = recorder
        self._events: list[Event] = []
        self._is_open = False
        self._is_at_work = False
        recorder.listen(self._events.append)

    async def turn(self, messages: list[dict[str, Any]]) -> Turn:
        """Send `messages` to the target, run the calls that it asks for, and append its message and what the calls
        returned; where it asks for none, the last message is its answer. A tool that fails is an observation.

        Raises BackendError when the target fails; `messages` are then as they were, and the turn may be tried again.
        """
        if not self._is_open or self._is_at_work:
            state = "at work on a turn" if self._is_at_work else "not open"
            rule = "turns are taken one at a time, inside `async with speculator.trajectory() as trajectory`"
            raise ConfigError(f"The trajectory is {state}; {rule}. Use a trajectory of its own for every task.")
        self._is_at_work = True
        try:
            async with aclosing(self._runner.run_response(messages)) as response:
                turns = [turn async for turn in response]
        finally:
            self._is_at_work = False
        return turns[-1]

    @property
    def ledger(self) -> Ledger:
        """What became of the calls of the turns so far."""
        return Ledger.from_events(self._events)

    async def __aenter__(self) -> Self:
        self._is_open = True
        self._recorder.emit(EventKind.TRAJECTORY_STARTED)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_open = False
        try:
            await self._speculation.aclose()
        finally:
            status, message = ("finished", None) if error is None else ("failed", str(error) or type(error).__name__)
            self._recorder.emit(EventKind.TRAJECTORY_FINISHED, status=status, message=message)


def _drop(event: Event) -> None:
    pass
