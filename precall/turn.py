"""A turn of an agent, with or without client-side speculation (the paper's alg:spec-tool-cache).

1. Start speculation: ask the draft, launch predicted calls that the policy allows. Nothing here delays step 2.
2. Await the target alone.
3. Settle: for each confirmed call, in order, take the observation that speculation has or awaits, else run the tool.
4. Append call and observation to the history.
"""

import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from precall.calls import CallKey, Observation, ToolCall, canonical_key
from precall.chat import Messages
from precall.errors import BackendError, MalformedCallError
from precall.events import EventKind, EventRecorder, now_s
from precall.executions import Outcome
from precall.speculation import Speculation
from precall.stream import Generation
from precall.tools import Tool, ToolExecutor


class Target(Protocol):
    """The authoritative model. One response holds one turn, or several where the engine keeps the sequence resident;
    every generation but a response's last has `is_continued` set. One with `observations` has been executed by the
    engine: its tools are not run again."""

    def turns(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Generation, None]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One target generation and the observations of the calls it asked for, in their order."""

    index: int
    generation: Generation
    observations: tuple[Observation, ...]


class TurnRunner:
    """Runs the turns of one trajectory."""

    def __init__(
        self,
        target: Target,
        speculation: Speculation,
        tools: Sequence[Tool],
        executor: ToolExecutor,
        recorder: EventRecorder,
    ) -> None:
        self._target = target
        self._speculation = speculation
        self._tools = {tool.name: tool for tool in tools}
        self._executor = executor
        self._recorder = recorder
        self._num_confirmed: Counter[CallKey] = Counter()
        self._turn = -1

    async def run_response(self, messages: list[dict[str, Any]]) -> AsyncGenerator[Turn, None]:
        """Send one request with `messages`, yield each turn of its response, and append the turn to `messages`.

        Raises BackendError when the target fails; `messages` are then as they were before its turn, and another
        response may be asked for.
        """
        tools = list(self._tools.values())
        self._start_turn(messages, tools)
        try:
            async with aclosing(self._target.turns(messages, tools)) as generations:
                is_open = True
                async for generation in generations:
                    assert is_open, "the target yielded a turn after one that was not continued"
                    yield await self._settle(generation, messages)
                    is_open = generation.is_continued
                    if is_open:
                        # Before the next generation is awaited, or its calls would be predicted after the target spoke.
                        self._start_turn(messages, tools)
                assert not is_open, "the response ended where the target had promised a turn"
        finally:
            self._speculation.end_turn()  # also of a turn that has failed, or that nobody awaits any more

    def _start_turn(self, messages: list[dict[str, Any]], tools: Sequence[Tool]) -> None:
        self._turn += 1
        self._recorder.emit(EventKind.TURN_STARTED, self._turn)
        self._speculation.start_turn(self._turn, messages, tools, self._num_confirmed)

    async def _settle(self, generation: Generation, messages: list[dict[str, Any]]) -> Turn:
        turn = self._turn
        self._recorder.emit(
            EventKind.GENERATION_FINISHED,
            turn,
            sent_s=generation.sent_s,
            first_token_s=generation.first_token_s,
            finished_s=generation.finished_s,
            num_prompt_tokens=generation.num_prompt_tokens,
            num_output_tokens=generation.num_output_tokens,
            num_cached_prompt_tokens=generation.num_cached_prompt_tokens,
            num_reasoning_tokens=generation.num_reasoning_tokens,
            num_calls=len(generation.tool_calls),
            prompt_hash=generation.prompt_hash,
            output_hash=generation.output_hash,
            finish_reason=generation.finish_reason,
        )
        self._speculation.target_finished({key for key in map(self._key_of, generation.tool_calls) if key is not None})
        executed = generation.observations or [None] * len(generation.tool_calls)
        observations = [
            await self._observe(turn, call, text) for call, text in zip(generation.tool_calls, executed, strict=True)
        ]
        self._speculation.end_turn()
        messages.append(generation.to_message())
        for call, observation in zip(generation.tool_calls, observations, strict=True):
            messages.append({"role": "tool", "tool_call_id": call.call_id, "content": observation.content})
        return Turn(index=turn, generation=generation, observations=tuple(observations))

    def _key_of(self, call: ToolCall) -> CallKey | None:
        """Return the key of a call, None for one that no tool can run."""
        tool = self._tools.get(call.name)
        try:
            return None if tool is None else canonical_key(call, tool.parameters)
        except MalformedCallError:
            return None

    async def _observe(self, turn: int, call: ToolCall, executed: str | None) -> Observation:
        """Return the observation of a call; `executed` is the one that the engine has used, None where it used none."""
        confirmed_s = now_s()
        tool = self._tools.get(call.name)
        outcome, is_predicted, arguments = Outcome.MISS, False, call.arguments
        if tool is None:
            known = ", ".join(sorted(self._tools))
            observation = Observation(content=f"Error: there is no tool {call.name}; there are {known}.", is_error=True)
        else:
            try:
                key = canonical_key(call, tool.parameters)
            except MalformedCallError as error:
                observation = Observation(content=f"Error: {error}", is_error=True)
            else:
                arguments, is_predicted = key.arguments, self._speculation.has_predicted(key)
                if executed is None:
                    outcome, taken = await self._speculation.take(key)
                    observation = taken or await self._run(tool, call, key)
                else:
                    outcome, observation = Outcome.READY_HIT, self._executed(key, executed)
                self._num_confirmed[key] += 1
        if executed is not None and outcome is Outcome.MISS:
            raise BackendError(f"The server says that it had the result of a call that cannot be run: {call}")
        self._recorder.emit(
            EventKind.CALL_SETTLED,
            turn,
            name=call.name,
            arguments=arguments,
            confirmed_s=confirmed_s,
            outcome=outcome,
            is_predicted=is_predicted,
            is_eligible=tool is not None and self._speculation.is_eligible(tool),
            is_executed=executed is not None,
            duration_s=observation.duration_s,
            is_error=observation.is_error,
            observation_hash=hashlib.sha256(observation.content.encode()).hexdigest()[:16],
        )
        return observation

    def _executed(self, key: CallKey, text: str) -> Observation:
        execution = self._speculation.use(key)
        return Observation(content=text, duration_s=None if execution is None else execution.duration_s)

    async def _run(self, tool: Tool, call: ToolCall, key: CallKey) -> Observation:
        async with self._speculation.confirmed(tool):
            observation = await self._executor(tool, call, self._num_confirmed[key])
        if tool.effect.changes_state:
            self._speculation.state_changed()
        return observation
