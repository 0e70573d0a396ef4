"""Sequences for the tests of residency: asked as resident ones and as separate requests."""

import json
from dataclasses import dataclass
from typing import Any

import httpx

from harness.replay.context_recorder import PARAMETER

MAX_TOKENS = 80
KEY = {"Authorization": "Bearer the key"}
PARAMETERS = {"type": "object", "properties": {"x": {"type": "number"}}}
TOOLS = [
    {"type": "function", "function": {"name": name, "description": "d", "parameters": PARAMETERS}}
    for name in ("f", "get_weather.now")
]


@dataclass(slots=True, kw_only=True)
class Sequence:
    """Turns with calls that the engine is made to generate, their results, then a turn that it generates freely."""

    name: str
    is_stream: bool
    question: str
    turns: list[list[int]]
    entries: list[dict[str, Any]]

    @property
    def secret(self) -> str:
        return f"the secret of sequence {self.name}"

    @property
    def body(self) -> dict[str, Any]:
        forced = [{"replay_token_ids": turn, PARAMETER: f"{self.name}/{i}"} for i, turn in enumerate(self.turns)]
        last = {"replay_token_ids": [], PARAMETER: f"{self.name}/{len(self.turns)}"}
        body = {
            "model": "m",
            "messages": [{"role": "user", "content": self.question}],
            "tools": TOOLS,
            "temperature": 0,
            "max_tokens": MAX_TOKENS,
            "return_token_ids": True,
            "stream": self.is_stream,
            "precall": {"turn_xargs": [*forced, last]},
        }
        return body | ({"stream_options": {"include_usage": True}} if self.is_stream else {})


@dataclass(slots=True, kw_only=True)
class Reply:
    executed: list[dict[str, Any]]
    token_ids: list[int]
    usage: dict[str, int]


async def run_resident(client: httpx.AsyncClient, root: str, sequence: Sequence) -> Reply:
    headers = {"X-Request-Id": sequence.name, "X-Precall-Secret": sequence.secret}
    path = f"{root}/cache-tool-output/chatcmpl-{sequence.name}"
    posted = await client.post(path, json=sequence.entries, headers=headers | KEY)
    assert posted.json() == {"cached": len(sequence.entries)}, posted.text
    answer = await client.post(f"{root}/v1/chat/completions", json=sequence.body, headers=headers | KEY)
    assert answer.status_code == 200, answer.text
    if not sequence.is_stream:
        body = answer.json()
        token_ids = body["choices"][0]["token_ids"]
        return Reply(executed=body["precall"]["executed_turns"], token_ids=token_ids, usage=body["usage"])
    reply = Reply(executed=[], token_ids=[], usage={})
    for line in answer.text.split("\n\n"):
        if line.startswith("data: {"):
            event = json.loads(line.removeprefix("data: "))
            reply.executed += event.get("precall", {}).get("executed_turns", [])
            reply.usage = event.get("usage") or reply.usage
            for choice in event["choices"]:
                reply.token_ids += choice.get("token_ids") or []
    return reply


async def run_separate(client: httpx.AsyncClient, root: str, context: list[int]) -> list[int]:
    """Return what an ordinary request generates after these tokens, without the blocks that a session has cached."""
    body = {"model": "m", "prompt": context, "temperature": 0, "max_tokens": MAX_TOKENS, "return_token_ids": True}
    body |= {"cache_salt": "separate"}
    answer = await client.post(f"{root}/v1/completions", json=body, headers=KEY)
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["token_ids"]


async def metric(client: httpx.AsyncClient, root: str, name: str) -> float:
    lines = (await client.get(f"{root}/metrics")).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))
