"""Speculation of one trajectory, as a turn sees it: off, or on this side of the endpoint."""

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from typing import Protocol

from precall.adaptive import AdaptiveSwitch
from precall.calls import CallKey, Observation, canonical_key
from precall.chat import Messages
from precall.drafts.protocol import Draft, Prediction
from precall.errors import BackendError, MalformedCallError
from precall.events import Event, EventKind, EventRecorder
from precall.executions import Executions, Outcome, Publisher
from precall.limits import ToolLimiter
from precall.policy import LaunchPolicy
from precall.spending import SpendingCap
from precall.tools import Tool, ToolExecutor

TOO_LITTLE = "expected saving below cost"
CAP_REACHED = "spending cap"


class Speculation(Protocol):
    """What a turn asks of speculation; one object serves one trajectory."""

    def start_turn(self, turn: int, messages: Messages, tools: Sequence[Tool], num_confirmed: Counter[CallKey]) -> None:
        """Begin to predict. Returns at once."""

    def target_finished(self, confirmed: Collection[CallKey]) -> None:
        """The target has spoken: what the draft has not yet said comes too late for this turn, and executions of other
        calls than the `confirmed` are not needed."""

    async def take(self, key: CallKey) -> tuple[Outcome, Observation | None]:
        """Hand over the observation of a confirmed call, waiting for it if its tool still runs."""
        ...

    def use(self, key: CallKey) -> Observation | None:
        """The engine has used the observation of a confirmed call: hand over what this side has of it, if anything."""
        ...

    def has_predicted(self, key: CallKey) -> bool: ...

    def is_eligible(self, tool: Tool) -> bool: ...

    def confirmed(self, tool: Tool) -> AbstractAsyncContextManager[None]:
        """Around the run of a confirmed call on this side; it begins when executions have made room for it."""
        ...

    def state_changed(self) -> None: ...

    def end_turn(self) -> None: ...

    async def aclose(self) -> None: ...


class NoSpeculation:
    """Speculation off: nothing is predicted, every confirmed call is a miss."""

    def start_turn(self, turn: int, messages: Messages, tools: Sequence[Tool], num_confirmed: Counter[CallKey]) -> None:
        pass

    def target_finished(self, confirmed: Collection[CallKey]) -> None:
        pass

    async def take(self, key: CallKey) -> tuple[Outcome, Observation | None]:
        return Outcome.MISS, None

    def use(self, key: CallKey) -> Observation | None:
        return None

    def has_predicted(self, key: CallKey) -> bool:
        return False

    def is_eligible(self, tool: Tool) -> bool:
        return LaunchPolicy().allows(tool)

    def confirmed(self, tool: Tool) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    def state_changed(self) -> None:
        pass

    def end_turn(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


class ClientSpeculation:
    """Client-side speculation: the draft's calls run on this side while the target generates.

    With a `publisher` such as precall.tool_cache.ToolCachePublisher it is the client half of the engine side. A
    `limiter` holds executions to the limits of tools that several trajectories share; without one they are kept within
    this trajectory. A `switch` decides when to speculate, from what all trajectories that share it have seen. Once a
    `cap` is reached, the draft is not asked.
    """

    def __init__(
        self,
        draft: Draft,
        policy: LaunchPolicy,
        executor: ToolExecutor,
        recorder: EventRecorder,
        publisher: Publisher | None = None,
        *,
        limiter: ToolLimiter | None = None,
        switch: AdaptiveSwitch | None = None,
        cap: SpendingCap | None = None,
    ) -> None:
        self._draft = draft
        self._policy = policy
        self._recorder = recorder
        self._executions = Executions(executor, recorder, publisher, limiter)
        self._predicted: set[CallKey] = set()
        self._num_heard: Counter[int] = Counter()
        self._num_launched = 0
        self._drafting: asyncio.Task[None] | None = None
        self._drafted_turn: int | None = None
        self._ended: list[asyncio.Task[None]] = []
        self._switch = switch
        self._cap = cap
        self._turn_events: list[Event] = []
        if switch is not None:
            recorder.listen(self._turn_events.append)

    def start_turn(self, turn: int, messages: Messages, tools: Sequence[Tool], num_confirmed: Counter[CallKey]) -> None:
        assert self._drafting is None, "the last turn has not ended"
        self._predicted.clear()
        self._num_heard.clear()
        self._num_launched = 0
        reason = self._reason_to_skip()
        if reason is not None:
            self._recorder.emit(EventKind.DRAFT_SKIPPED, turn, reason=reason)
            return
        # The history goes on growing while the draft reads it: hand it a copy.
        self._drafting = asyncio.create_task(self._speculate(turn, list(messages), tools, num_confirmed))

    def _reason_to_skip(self) -> str | None:
        if self._cap is not None and self._cap.is_reached:
            return CAP_REACHED
        return TOO_LITTLE if self._switch is not None and not self._switch.asks() else None

    async def _speculate(
        self, turn: int, messages: Messages, tools: Sequence[Tool], num_confirmed: Counter[CallKey]
    ) -> None:
        by_name = {tool.name: tool for tool in tools}
        self._recorder.emit(EventKind.DRAFT_STARTED, turn)
        self._drafted_turn = turn
        try:
            async with aclosing(self._draft.predict(messages, tools)) as predictions:
                async for prediction in predictions:
                    if self._drafted_turn != turn:
                        break  # it was cut off, and has not stopped: what it says is of a turn that is over
                    self._launch_allowed(turn, prediction, by_name, num_confirmed)
        except BackendError as error:
            self._recorder.emit(EventKind.DRAFT_FAILED, turn, message=str(error))
        finally:
            if self._drafted_turn == turn:  # else it was cut off
                self._draft_ended(is_cut_off=False)

    def _draft_ended(self, *, is_cut_off: bool) -> None:
        self._recorder.emit(EventKind.DRAFT_ENDED, self._drafted_turn, is_cut_off=is_cut_off)
        self._drafted_turn = None

    def _launch_allowed(
        self, turn: int, prediction: Prediction, tools: dict[str, Tool], num_confirmed: Counter[CallKey]
    ) -> None:
        if prediction.is_complete:
            self._recorder.emit(
                EventKind.DRAFT_ANSWERED,
                turn,
                sample=prediction.sample,
                sent_s=prediction.sent_s,
                calls=[{"name": call.name, "arguments": call.arguments} for call in prediction.calls],
                num_prompt_tokens=prediction.num_prompt_tokens,
                num_output_tokens=prediction.num_output_tokens,
            )
        num_heard = self._num_heard[prediction.sample]
        self._num_heard[prediction.sample] = len(prediction.calls)
        for call in prediction.calls[num_heard:]:
            tool = tools.get(call.name)
            if tool is None:
                self._refuse(turn, call.name, call.arguments, "no such tool")
                continue
            try:
                key = canonical_key(call, tool.parameters)
            except MalformedCallError:
                self._refuse(turn, call.name, call.arguments, "malformed")
                continue
            if key in self._predicted:
                continue
            self._predicted.add(key)
            self._recorder.emit(
                EventKind.CALL_PREDICTED, turn, name=key.name, arguments=key.arguments, sample=prediction.sample
            )
            refusal = self._policy.refusal(tool, self._num_launched, self._executions.cost)
            if refusal is None and self._switch is not None and not self._switch.allows(tool.name):
                refusal = TOO_LITTLE
            if refusal is not None:
                self._refuse(turn, key.name, key.arguments, refusal)
                continue
            self._num_launched += 1
            self._executions.launch(turn, tool, call, key, num_confirmed[key])

    def _refuse(self, turn: int, name: str, arguments: str, reason: str) -> None:
        self._recorder.emit(EventKind.EXECUTION_REFUSED, turn, name=name, arguments=arguments, reason=reason)

    def target_finished(self, confirmed: Collection[CallKey]) -> None:
        self._stop_drafting()
        self._executions.keep_only(confirmed)

    def _stop_drafting(self) -> None:
        if self._drafting is not None:
            self._drafting.cancel()
            self._ended.append(self._drafting)
            self._drafting = None
            if self._drafted_turn is not None:
                self._draft_ended(is_cut_off=True)

    async def take(self, key: CallKey) -> tuple[Outcome, Observation | None]:
        return await self._executions.take(key)

    def use(self, key: CallKey) -> Observation | None:
        return self._executions.use(key)

    def has_predicted(self, key: CallKey) -> bool:
        return key in self._predicted

    def is_eligible(self, tool: Tool) -> bool:
        return self._policy.allows(tool)

    def confirmed(self, tool: Tool) -> AbstractAsyncContextManager[None]:
        return self._executions.confirmed(tool)

    def state_changed(self) -> None:
        self._executions.state_changed()

    def end_turn(self) -> None:
        self._stop_drafting()
        self._executions.end_turn()
        if self._switch is not None:
            self._switch.learn(self._turn_events)
            self._turn_events.clear()

    async def aclose(self) -> None:
        """Stop all that speculation started and wait for its end. Raises a draft's error that is no BackendError."""
        self.end_turn()
        await self._executions.aclose()
        for ended in await asyncio.gather(*self._ended, return_exceptions=True):
            if isinstance(ended, BaseException) and not isinstance(ended, asyncio.CancelledError):
                raise ended
        self._ended.clear()
