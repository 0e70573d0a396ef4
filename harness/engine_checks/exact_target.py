"""A replayed target that sends tokens: each turn's prompt is exactly what lies before it in a resident sequence.

Chat requests render the history anew, and a template may rewrite earlier turns. Here only the first turn of a user turn
is a chat request; the turns after it are requests on `/v1/completions` with the tokens so far.
"""

import json
from collections.abc import AsyncGenerator, Sequence

from harness.engine_checks.hermes import HermesTokens
from harness.replay.models import check_observations, check_tokens, forced_body, generate_forced, observations_in
from harness.replay.rendering import Renderer
from harness.replay.trajectories import RecordedTrajectory, RecordedTurn
from precall.calls import ToolCall
from precall.chat import ChatClient, Messages
from precall.errors import BackendError
from precall.events import now_s
from precall.stream import Generation
from precall.tools import Tool

ROUTE = "/v1/completions"
TIMEOUT_S = 600.0


class ReplayExactTarget:
    """Asks for each recorded turn in its order, token in, token out."""

    def __init__(
        self,
        client: ChatClient,
        trajectory: RecordedTrajectory,
        renderer: Renderer,
        cache_salt: str,
        tokens: HermesTokens,
    ) -> None:
        self._client = client
        self._tokens = tokens
        self._trajectory = trajectory
        self._renderer = renderer
        self._cache_salt = cache_salt
        self._next_turn = 0
        self._context: list[int] = []

    async def turns(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Generation, None]:
        index, self._next_turn = self._next_turn, self._next_turn + 1
        turn = self._trajectory.turns[index]
        token_ids = self._renderer.target_tokens(turn)
        if messages[-1]["role"] == "tool":
            check_observations(self._trajectory, index - 1, observations_in(messages))
            assert len(self._trajectory.turns[index - 1].calls) == 1, "a turn of the workload has one call"
            self._context += self._tokens.result(messages[-1]["content"])
            generation = await self._complete(turn, token_ids)
        else:
            generation = await generate_forced(self._client, messages, tools, token_ids, self._cache_salt)
            assert generation.prompt_token_ids is not None, "the server returns token ids"
            self._context = list(generation.prompt_token_ids)
        self._context += token_ids
        yield generation

    async def _complete(self, turn: RecordedTurn, token_ids: list[int]) -> Generation:
        body = {"model": self._client.model, "prompt": self._context, "max_tokens": len(token_ids), "temperature": 0.0}
        sent_s = now_s()
        status, text = await self._client.post(
            ROUTE, body | forced_body(token_ids, self._cache_salt), {}, timeout_s=TIMEOUT_S
        )
        if status != 200:
            raise BackendError(f"{self._client.base_url} answered a request for completion with {status}: {text[:500]}")
        (choice,) = json.loads(text)["choices"]
        generation = Generation(
            content=turn.content,
            reasoning=turn.reasoning,
            tool_calls=tuple(
                ToolCall(name=call.name, arguments=call.arguments, call_id=f"call_{self._next_turn}_{position}")
                for position, call in enumerate(turn.calls)
            ),
            finish_reason="tool_calls" if turn.calls else "stop",
            sent_s=sent_s,
            first_token_s=None,
            finished_s=now_s(),
            num_prompt_tokens=len(self._context),
            num_output_tokens=len(choice["token_ids"]),
            prompt_token_ids=tuple(self._context),
            output_token_ids=tuple(choice["token_ids"]),
        )
        check_tokens(self._client, generation, token_ids)
        return generation
