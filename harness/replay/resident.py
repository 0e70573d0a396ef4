"""A target on a server with the tool cache that follows a recorded trajectory; each object is for one trajectory."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from harness.replay.models import (
    check_calls,
    check_observations,
    check_tokens,
    forced_body,
    observations_in,
    turn_at,
)
from harness.replay.rendering import Renderer
from harness.replay.trajectories import RecordedTrajectory
from precall.chat import ChatClient, Messages, Sampling
from precall.resident_target import ResidentTarget
from precall.stream import Generation
from precall.tool_cache import ToolCachePublisher
from precall.tools import Tool
from precall.wire import OPTIONS_FIELD, ResponseOptions


class ReplayResidentTarget:
    """Forces, in each request, the recorded turns from the next one to the answer of its user turn, as many as the
    response turns out to have, and checks each as ReplayTarget does."""

    def __init__(
        self,
        client: ChatClient,
        trajectory: RecordedTrajectory,
        renderer: Renderer,
        cache_salt: str,
        publisher: ToolCachePublisher,
    ) -> None:
        self._client = client
        self._trajectory = trajectory
        self._renderer = renderer
        self._cache_salt = cache_salt
        self._publisher = publisher
        self._next_turn = 0

    async def turns(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Generation, None]:
        if self._next_turn:
            check_observations(self._trajectory, self._next_turn - 1, observations_in(messages))
        turn_at(self._trajectory, self._next_turn)
        coming = self._coming_tokens()
        # The request's own arguments force its first turn, also where it runs as an ordinary request.
        later = tuple({"replay_token_ids": token_ids} for token_ids in coming[1:])
        options = ResponseOptions(turn_xargs=({}, *later))
        body = forced_body(coming[0], self._cache_salt) | {OPTIONS_FIELD: options.to_json()}
        sampling = Sampling(max_tokens=max(len(token_ids) for token_ids in coming))
        target = ResidentTarget(self._client, sampling, self._publisher, body)
        async with aclosing(target.turns(messages, tools)) as generations:
            async for generation in generations:
                index, self._next_turn = self._next_turn, self._next_turn + 1
                check_tokens(self._client, generation, coming.pop(0))
                check_calls(self._trajectory, index, generation)
                if generation.observations is not None:
                    check_observations(self._trajectory, index, generation.observations)
                yield generation

    def _coming_tokens(self) -> list[list[int]]:
        """Return the tokens of the turns that this response may have: it ends with a turn without calls at the
        latest."""
        coming = []
        for turn in self._trajectory.turns[self._next_turn :]:
            coming.append(self._renderer.target_tokens(turn))
            if not turn.calls:
                break
        return coming
