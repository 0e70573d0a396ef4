"""Residency on the real engine: lossless in float32, greedy, with weights that react to their input."""

import asyncio
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tokenizers import Tokenizer

from harness.replay.context_recorder import PARAMETER

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]

NUM_SEQUENCES = 16
MAX_TOKENS = 80
RESULT = "\n<|im_start|>user\n<tool_response>\n{}\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
KEY = {"Authorization": "Bearer the key"}
PARAMETERS = {"type": "object", "properties": {"x": {"type": "number"}}}
TOOLS = [{"type": "function", "function": {"name": "f", "description": "d", "parameters": PARAMETERS}}]


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


def make_sequence(index: int, tokenizer: Tokenizer) -> Sequence:
    draw = random.Random(index)

    def words(most: int) -> str:
        return " ".join(draw.choice(["alpha", "beta", "gamma", "12", "7", "x"]) for _ in range(draw.randint(0, most)))

    turns, entries = [], []
    for turn in range(1 + index % 4):
        arguments = {"x": 10 * index + turn}
        call = f'<tool_call>\n{{"name": "f", "arguments": {json.dumps(arguments)}}}\n</tool_call>'
        turns.append(tokenizer.encode(f"{words(8)}{call}<|im_end|>", add_special_tokens=False).ids)
        entries.append({"name": "f", "params": {"x": float(arguments["x"])}, "output": words(200)})
    is_stream = index % 2 == 1
    return Sequence(name=str(index), is_stream=is_stream, question=words(60), turns=turns, entries=entries)


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
    body = {"model": "m", "prompt": context, "temperature": 0, "max_tokens": MAX_TOKENS, "return_token_ids": True}
    answer = await client.post(f"{root}/v1/completions", json=body, headers=KEY)
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["token_ids"]


async def prompt_of(client: httpx.AsyncClient, root: str, sequence: Sequence) -> list[int]:
    body = {key: sequence.body[key] for key in ("model", "messages", "tools")}
    return (await client.post(f"{root}/tokenize", json=body, headers=KEY)).json()["tokens"]


async def metric(client: httpx.AsyncClient, root: str, name: str) -> float:
    lines = (await client.get(f"{root}/metrics")).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))


async def test_resident_sequences_are_token_identical_to_separate_requests(server, context_file: Path):
    root = server.base_url.removesuffix("/v1")
    tokenizer = Tokenizer.from_file(str(Path(server.settings.model) / "tokenizer.json"))
    sequences = [make_sequence(index, tokenizer) for index in range(NUM_SEQUENCES)]
    async with httpx.AsyncClient(timeout=120) as client:
        replies = await asyncio.gather(*(run_resident(client, root, sequence) for sequence in sequences))
        contexts: list[list[list[int]]] = []
        for sequence, reply in zip(sequences, replies, strict=True):
            assert [turn["token_ids"] for turn in reply.executed] == sequence.turns, "the forced turns, all executed"
            context = await prompt_of(client, root, sequence)
            contexts.append([context])
            for turn, entry in zip(reply.executed, sequence.entries, strict=True):
                result = RESULT.format(entry["output"])
                assert turn["result_token_ids"] == tokenizer.encode(result, add_special_tokens=False).ids
                context = [*context, *turn["token_ids"], *turn["result_token_ids"]]
                contexts[-1].append(context)
            assert reply.usage["total_tokens"] == len(context) + len(reply.token_ids)
        recorded = {(row["tag"], row["num_output"]): row["prompt"] for row in map(json.loads, context_file.open())}
        for sequence, of_turns in zip(sequences, contexts, strict=True):
            for index, context in enumerate(of_turns):
                assert recorded[f"{sequence.name}/{index}", 0] == context, "what the worker holds"
        separate = await asyncio.gather(*(run_separate(client, root, of_turns[-1]) for of_turns in contexts))
        assert [reply.token_ids for reply in replies] == separate
        assert len({tuple(tokens) for tokens in separate}) == NUM_SEQUENCES, "the weights react to their input"
        assert await metric(client, root, "vllm:num_requests_running") == 0
        assert await metric(client, root, "vllm:kv_cache_usage_perc") == 0


async def test_a_post_with_a_wrong_key_or_another_owners_secret_is_refused(server):
    root = server.base_url.removesuffix("/v1")
    async with httpx.AsyncClient(timeout=60) as client:
        path, entry = f"{root}/cache-tool-output/chatcmpl-owned", [{"name": "f", "params": {"x": 1}, "output": "1"}]
        mine, other = {"X-Precall-Secret": "my own secret, random"}, {"X-Precall-Secret": "somebody else's secret"}
        assert (await client.post(path, json=entry, headers=mine)).status_code == 401
        body = {"model": "m", "messages": [{"role": "user", "content": "go"}], "max_tokens": 1500, "stream": True}
        sent = mine | KEY | {"X-Request-Id": "owned"}
        async with client.stream(
            "POST", f"{root}/v1/chat/completions", json=body | {"ignore_eos": True}, headers=sent
        ) as stream:
            lines = stream.aiter_lines()
            await anext(lines)
            assert (await client.post(path, json=entry, headers=other | KEY)).status_code == 403
            assert (await client.post(path, json=entry, headers=mine | KEY)).json() == {"cached": 1}
            repeated = await client.post(f"{root}/v1/chat/completions", json=body, headers=sent)
            assert repeated.status_code == 409
        for _ in range(100):
            answer = await client.post(path, json=entry, headers=mine | KEY)
            if answer.status_code == 410:
                break
            await asyncio.sleep(0.1)
        assert answer.status_code == 410, "a client that left ends its response"
