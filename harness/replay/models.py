"""A target and a draft that follow a recorded trajectory, each object for one trajectory."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from harness.replay.rendering import Renderer
from harness.replay.trajectories import RecordedTrajectory, RecordedTurn
from precall.chat import ChatClient, Messages, Sampling
from precall.drafts.protocol import Draft, Prediction
from precall.errors import BackendError
from precall.events import now_s
from precall.stream import Generation
from precall.tools import Tool


class ReplayDivergenceError(BackendError):
    """The engine did not generate what was recorded; its measurements say nothing."""


class ReplayTarget:
    """Asks the engine for each recorded turn in its order, and checks that it generated exactly the recorded tokens and
    that the tools returned what was recorded, where it was."""

    def __init__(self, client: ChatClient, trajectory: RecordedTrajectory, renderer: Renderer, cache_salt: str) -> None:
        self._client = client
        self._trajectory = trajectory
        self._renderer = renderer
        self._cache_salt = cache_salt
        self._next_turn = 0

    async def turns(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Generation, None]:
        turn = turn_at(self._trajectory, self._next_turn)
        if self._next_turn:
            check_observations(self._trajectory, self._next_turn - 1, observations_in(messages))
        self._next_turn += 1
        token_ids = self._renderer.target_tokens(turn)
        generation = await generate_forced(self._client, messages, tools, token_ids, self._cache_salt)
        check_calls(self._trajectory, self._next_turn - 1, generation)
        yield generation


class ReplayDraft:
    """A draft at work on its own server: the samples of a turn are sent at once and arrive when they are generated."""

    def __init__(self, client: ChatClient, trajectory: RecordedTrajectory, renderer: Renderer, cache_salt: str) -> None:
        self._client = client
        self._trajectory = trajectory
        self._renderer = renderer
        self._cache_salt = cache_salt

    async def predict(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Prediction, None]:
        turn = self._trajectory.turns[turn_of(messages)]

        async def ask(sample: int) -> Prediction:
            token_ids = self._renderer.draft_tokens(turn.draft_samples[sample])
            generation = await generate_forced(self._client, messages, tools, token_ids, self._cache_salt)
            return Prediction(
                sample=sample,
                calls=generation.tool_calls,
                sent_s=generation.sent_s,
                num_prompt_tokens=generation.num_prompt_tokens,
                num_output_tokens=generation.num_output_tokens,
            )

        samples = [asyncio.create_task(ask(index)) for index in range(len(turn.draft_samples))]
        try:
            for sample in asyncio.as_completed(samples):
                yield await sample
        finally:
            for task in samples:
                task.cancel()
            await asyncio.gather(*samples, return_exceptions=True)


class TimedDraft:
    """A draft elsewhere: recorded samples arrive after the time that the draft took for them alone on this machine.

    `sample_s[turn][sample]` holds these times in seconds.
    """

    def __init__(self, trajectory: RecordedTrajectory, sample_s: Sequence[Sequence[float]]) -> None:
        self._trajectory = trajectory
        self._sample_s = sample_s

    async def predict(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Prediction, None]:
        index = turn_of(messages)
        samples = self._trajectory.turns[index].draft_samples
        times_s = self._sample_s[index]
        sent_s = now_s()
        for sample in sorted(range(len(samples)), key=lambda sample: times_s[sample]):
            await asyncio.sleep(max(0.0, sent_s + times_s[sample] - now_s()))
            yield Prediction(sample=sample, calls=samples[sample], sent_s=sent_s)


class RecordedTarget:
    """A target without an engine: each turn's draft is asked and timed first, then the recorded turn is there at once.

    It leads a draft through the very prompts it would see beside an engine. `sample_s[turn][sample]` holds, in seconds,
    how long each sample took.
    """

    def __init__(self, trajectory: RecordedTrajectory, draft: Draft) -> None:
        self._trajectory = trajectory
        self._draft = draft
        self.sample_s: list[list[float]] = []

    async def turns(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Generation, None]:
        turn = turn_at(self._trajectory, len(self.sample_s))
        times_s = [0.0] * len(turn.draft_samples)
        async for prediction in self._draft.predict(messages, tools):
            times_s[prediction.sample] = now_s() - prediction.sent_s
        self.sample_s.append(times_s)
        yield Generation(
            content=turn.content,
            reasoning=turn.reasoning,
            tool_calls=tuple(turn.calls),
            finish_reason="tool_calls" if turn.calls else "stop",
            sent_s=now_s(),
            first_token_s=None,
            finished_s=now_s(),
        )


def turn_at(trajectory: RecordedTrajectory, index: int) -> RecordedTurn:
    """Return a recorded turn. Raises ReplayDivergenceError when the agent goes on where the recording has ended."""
    if index >= len(trajectory.turns):
        raise ReplayDivergenceError(
            f"{trajectory.task_id} is recorded with {len(trajectory.turns)} turns, and the agent asks for another. Is "
            "agent the one of the recording, and is the recording whole?"
        )
    return trajectory.turns[index]


def turn_of(messages: Messages) -> int:
    """Return the turn that follows a history. A draft cannot count its requests instead: one whose turn ends before it
    was asked for anything is never asked."""
    return sum(message["role"] == "assistant" for message in messages)


def observations_in(messages: Messages) -> list[str]:
    """Return all observations of a history."""
    return [message["content"] for message in messages if message["role"] == "tool"]


def check_calls(trajectory: RecordedTrajectory, index: int, generation: Generation) -> None:
    """Raise ReplayDivergenceError unless the server parsed the calls that were recorded for turn `index`."""
    recorded = [(call.name, call.arguments) for call in trajectory.turns[index].calls]
    parsed = [(call.name, call.arguments) for call in generation.tool_calls]
    if parsed != recorded:
        raise ReplayDivergenceError(
            f"Turn {index} of {trajectory.task_id}: the server parsed the calls {parsed}; "
            f"recorded are {recorded}. Is its --tool-call-parser the one of the recording's form?"
        )


def check_observations(trajectory: RecordedTrajectory, index: int, observed: Sequence[str]) -> None:
    """Raise ReplayDivergenceError unless `observed` ends with the observations that were recorded for turn `index`."""
    recorded = trajectory.turns[index].observations
    if not recorded:
        return
    returned = observed[-len(recorded) :]
    for call, expected, actual in zip(trajectory.turns[index].calls, recorded, returned, strict=True):
        if expected.content != actual:
            raise ReplayDivergenceError(
                f"Turn {index} of {trajectory.task_id}: {call.name} returned {str(actual)[:200]!r}; recorded is "
                f"{expected.content[:200]!r}. The tools must be those of the recording."
            )


async def generate_forced(
    client: ChatClient, messages: Messages, tools: Sequence[Tool], token_ids: list[int], cache_salt: str
) -> Generation:
    """Send a chat request that makes the engine generate `token_ids`. Raises ReplayDivergenceError if it did not."""
    body = forced_body(token_ids, cache_salt)
    generation = await client.generate(messages, tools, Sampling(max_tokens=len(token_ids)), body)
    check_tokens(client, generation, token_ids)
    return generation


def forced_body(token_ids: Sequence[int], cache_salt: str) -> dict[str, Any]:
    """Return what a chat request's body holds so that the engine generates `token_ids`."""
    xargs = {"replay_token_ids": list(token_ids)}
    return {"vllm_xargs": xargs, "return_token_ids": True, "cache_salt": cache_salt}


def check_tokens(client: ChatClient, generation: Generation, token_ids: Sequence[int]) -> None:
    """Raise ReplayDivergenceError unless the engine generated `token_ids`."""
    if generation.output_token_ids is None:
        raise ReplayDivergenceError(f"{client.base_url} returned no token ids; replay needs a vLLM server.")
    if generation.output_token_ids != tuple(token_ids):
        raise ReplayDivergenceError(
            f"{client.base_url} generated {len(generation.output_token_ids)} tokens that are not the {len(token_ids)} "
            "recorded ones. Is the replay plugin loaded, and does Model Runner V1 run?"
        )
