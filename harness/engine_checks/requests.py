"""The three ways to run a sequence of turns on a server: token-exact, rendered anew for each turn, and resident."""

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from harness.engine_checks import world
from harness.engine_checks.comparison import Trace, TracedTurn
from harness.engine_checks.hermes import HermesTokens, call_of
from harness.replay.context_recorder import PARAMETER
from precall.calls import ToolCall, canonical_key, parse_arguments
from precall.errors import BackendError
from precall.wire import REQUEST_ID_HEADER, RESPONSE_ID_PREFIX, SECRET_HEADER, ToolOutput, post_body, post_path

NUM_TURNS = 5
MAX_TURN_TOKENS = 96
_KEEP_ALIVE_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Sends the requests of one arm to the server at `root`. `arm` keeps their ids and prefix caches apart."""

    arm: str
    root: str
    model: str
    client: httpx.AsyncClient
    tokens: HermesTokens

    async def exact(self, question: str) -> Trace:
        """Run separate requests, each with exactly the tokens so far as its prompt. Ends early without a call."""
        prompt = (await self._send("/tokenize", self._chat([_user(question)], tools=world.TOOLS)))["tokens"]
        turns: list[TracedTurn] = []
        while True:
            reply = await self._send("/v1/completions", self._sampled(prompt=prompt))
            generated = reply["choices"][0]["token_ids"]
            turns.append(TracedTurn(prompt=tuple(prompt), generated=tuple(generated)))
            call = call_of(self.tokens.text(generated))
            if call is None or len(turns) == NUM_TURNS:
                return tuple(turns)
            prompt = [*prompt, *generated, *self.tokens.result(world.observe(call))]

    async def rendered(self, name: str, question: str, calls: Sequence[ToolCall] | None = None) -> Trace:
        """Run separate chat requests, each with the history as messages. With `calls` they opt in, and what the turn is
        expected to call is posted before it."""
        messages, turns = [_user(question)], []
        for turn in range(NUM_TURNS):
            headers = {}
            if calls is not None:
                headers = self._headers(f"{name}-{turn}")
                await self._post(headers, [_output(call) for call in calls[turn : turn + 1]])
            body = self._sampled(**self._chat(messages, tools=world.TOOLS))
            reply = await self._send("/v1/chat/completions", body, headers)
            choice = reply["choices"][0]
            prompt, generated = reply["prompt_token_ids"], choice["token_ids"]
            turns.append(TracedTurn(prompt=tuple(prompt), generated=tuple(generated)))
            said = choice["message"]
            if not said["tool_calls"]:
                break
            messages.append({key: said[key] for key in ("role", "reasoning", "content", "tool_calls") if said.get(key)})
            for call in said["tool_calls"]:
                asked = ToolCall(name=call["function"]["name"], arguments=call["function"]["arguments"])
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": world.observe(asked)})
        return tuple(turns)

    async def resident(self, index: int, question: str, expected: Trace, has_tags: bool) -> tuple[Trace, int]:
        """Run one resident response and return it with its number of executed turns. An oracle posts what the calls of
        `expected` return, in an order drawn anew: for every other sequence before the request, else while it runs.
        """
        calls = [call for turn in expected[:-1] if (call := call_of(self.tokens.text(list(turn.generated))))]
        outputs = list({canonical_key(call): _output(call) for call in calls}.values())
        random.Random(f"{self.arm}/{index}").shuffle(outputs)
        headers = self._headers(str(index))
        options: dict[str, Any] = {"max_response_tokens": sum(len(turn.generated) for turn in expected)}
        if has_tags:
            options["turn_xargs"] = [{PARAMETER: f"{self.arm}/{index}/{turn}"} for turn in range(NUM_TURNS)]
        body = self._sampled(**self._chat([_user(question)], tools=world.TOOLS), precall=options)
        is_early, is_stream = index % 4 < 2, index % 2 == 1
        announced = [ToolOutput(name=output.name, params=output.params, is_running=True) for output in outputs]
        await self._post(headers, outputs if is_early else announced)
        async with asyncio.TaskGroup() as tasks:
            run = tasks.create_task(self._stream(body, headers) if is_stream else self._whole(body, headers))
            for output in () if is_early else outputs:
                await self._post(headers, [output])
        executed, prompt, generated = run.result()
        return _trace(expected[0].prompt, executed, prompt, generated), len(executed)

    async def _whole(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[list[Any], list[int], list[int]]:
        reply = await self._send("/v1/chat/completions", body, headers)
        executed = reply.get("precall", {}).get("executed_turns", [])
        return executed, reply["prompt_token_ids"], reply["choices"][0]["token_ids"]

    async def _stream(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[list[Any], list[int], list[int]]:
        executed: list[Any] = []
        prompt: list[int] = []
        generated: list[int] = []
        url = f"{self.root}/v1/chat/completions"
        async with self.client.stream("POST", url, json=body | {"stream": True}, headers=headers) as events:
            async for line in events.aiter_lines():
                if line.startswith("data: {"):
                    event = json.loads(line.removeprefix("data: "))
                    executed += event.get("precall", {}).get("executed_turns", [])
                    prompt = event.get("prompt_token_ids") or prompt
                    for choice in event.get("choices", []):
                        generated += choice.get("token_ids") or []
        return executed, prompt, generated

    async def _post(self, headers: dict[str, str], outputs: Sequence[ToolOutput]) -> None:
        path = post_path(RESPONSE_ID_PREFIX + headers[REQUEST_ID_HEADER])
        answer = await self.client.post(f"{self.root}{path}", json=post_body(outputs), headers=headers)
        # A response that has gone another way may have ended (410); the comparison says where it left.
        if not answer.is_success and answer.status_code != 410:
            raise BackendError(f"{path} answered {answer.status_code}: {answer.text[:500]}")

    async def _send(self, path: str, body: Any, headers: dict[str, str] | None = None) -> Any:
        answer = await self.client.post(f"{self.root}{path}", json=body, headers=headers)
        if not answer.is_success:
            raise BackendError(f"{path} answered {answer.status_code}: {answer.text[:500]}")
        return answer.json()

    def _headers(self, name: str) -> dict[str, str]:
        return {REQUEST_ID_HEADER: f"{self.arm}-{name}", SECRET_HEADER: f"the secret of {self.arm} {name}"}

    def _chat(self, messages: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
        return {"model": self.model, "messages": messages, **fields}

    def _sampled(self, **fields: Any) -> dict[str, Any]:
        sampling = {"model": self.model, "temperature": 0, "max_tokens": MAX_TURN_TOKENS, "return_token_ids": True}
        return {**sampling, "cache_salt": self.arm, **fields}


def _trace(first: Sequence[int], executed: list[Any], prompt: list[int], generated: list[int]) -> Trace:
    turns: list[TracedTurn] = []
    context = tuple(first)
    for turn in executed:
        turns.append(TracedTurn(prompt=context, generated=tuple(turn["token_ids"])))
        context += (*turn["token_ids"], *turn["result_token_ids"])
    return (*turns, TracedTurn(prompt=tuple(prompt), generated=tuple(generated)))


def _user(question: str) -> dict[str, Any]:
    return {"role": "user", "content": question}


def _output(call: ToolCall) -> ToolOutput:
    params = parse_arguments(call)
    return ToolOutput(name=call.name, params=params, output=world.observe(call), keep_alive_s=_KEEP_ALIVE_S)
