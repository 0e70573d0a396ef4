"""Residency when the KV cache is short: nobody waits for ever, and nothing is left when clients leave."""

import asyncio
import json
import random

import httpx
import pytest
import pytest_asyncio
from tokenizers import Tokenizer

from harness.backends.vllm_server import VllmServer
from harness.backends.vllm_settings import VllmServerSettings
from harness.model_paths import model_path
from tests.harness.configs import config_of
from tests.integration.engine.sequences import TOOLS, metric

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]

NUM_AGENTS = 32
NUM_TURNS = 4


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small_server(tmp_path_factory):
    """A server whose KV cache holds 12 blocks of 128 tokens, where a longest request takes 4."""
    settings = VllmServerSettings(
        name="small",
        model=model_path(config_of().model),
        served_model_name="m",
        platform="cpu",
        load_format="dummy",
        max_model_len=512,
        max_num_seqs=16,
        kv_cache_gib=1,
        logits_processors=("harness.replay.plugin:ReplayLogitsProcessor",),
        entry_module="precall.engine.serve",
        extra_args=("--num-gpu-blocks-override", "12"),
    )
    async with VllmServer(settings, log_folder=tmp_path_factory.mktemp("small")) as server:
        yield server


def turn_tokens(tokenizer, agent, turn):
    call = f'<tool_call>\n{{"name": "f", "arguments": {{"x": {agent * 100 + turn}}}}}\n</tool_call><|im_end|>'
    return tokenizer.encode(call, add_special_tokens=False).ids


async def run_agent(client, root, tokenizer, agent, draw) -> int:
    """Run one agent; return how many of its turns were spliced. Some results never come, some clients leave."""
    headers = {"X-Request-Id": f"agent-{agent}", "X-Precall-Secret": f"the secret of agent {agent}"}
    turns = [turn_tokens(tokenizer, agent, turn) for turn in range(NUM_TURNS)]
    entries = [
        {"name": "f", "params": {"x": agent * 100 + turn}}
        | draw.choice([{"output": "y " * 20}] * 4 + [{"running": True}])
        for turn in range(NUM_TURNS)
    ]
    draw.shuffle(entries)
    xargs = [{"replay_token_ids": tokens} for tokens in turns] + [{"replay_token_ids": []}]
    body = {"model": "m", "messages": [{"role": "user", "content": "go"}], "tools": TOOLS[:1], "max_tokens": 32}
    body |= {"stream": True, "ignore_eos": False, "precall": {"turn_xargs": xargs}}
    posting = asyncio.create_task(
        client.post(f"{root}/cache-tool-output/chatcmpl-agent-{agent}", json=entries, headers=headers)
    )
    if draw.random() < 0.7:
        await posting
    num_executed = 0
    leaves_after_s = draw.choice([None, None, None, draw.uniform(0, 1)])
    try:
        async with asyncio.timeout(leaves_after_s):
            async with client.stream("POST", f"{root}/v1/chat/completions", json=body, headers=headers) as stream:
                async for line in stream.aiter_lines():
                    if line.startswith("data: {"):
                        num_executed += len(json.loads(line[6:]).get("precall", {}).get("executed_turns", []))
    except TimeoutError:
        pass
    await posting
    return num_executed


async def run_bystander(client, root, index) -> None:
    body = {"model": "m", "prompt": [10 + index] * 200, "max_tokens": 150, "ignore_eos": True}
    answer = await client.post(f"{root}/v1/completions", json=body)
    assert answer.json()["usage"]["completion_tokens"] == 150, answer.text


async def test_every_request_ends_and_nothing_is_left(small_server):
    root = small_server.base_url.removesuffix("/v1")
    tokenizer = Tokenizer.from_file(f"{small_server.settings.model}/tokenizer.json")
    draw = random.Random(0)
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=200, limits=limits) as client, asyncio.timeout(200):
        agents = [run_agent(client, root, tokenizer, agent, draw) for agent in range(NUM_AGENTS)]
        bystanders = [run_bystander(client, root, index) for index in range(8)]
        num_executed, _ = await asyncio.gather(asyncio.gather(*agents), asyncio.gather(*bystanders))
        assert sum(num_executed) > 0, "some turns are spliced"
        for _ in range(100):
            if await metric(client, root, "vllm:num_requests_running") == 0:
                break
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.5)
        assert await metric(client, root, "vllm:num_requests_waiting") == 0
        assert await metric(client, root, "vllm:kv_cache_usage_perc") == 0
        alone = await run_agent(client, root, tokenizer, 1000, random.Random(3))
        assert alone >= 0
        await run_bystander(client, root, 99)


async def test_results_around_the_models_length_leave_the_engine_alive(small_server):
    """A chunk past max_model_len kills a stock engine."""
    root = small_server.base_url.removesuffix("/v1")
    tokenizer = Tokenizer.from_file(f"{small_server.settings.model}/tokenizer.json")
    turn = turn_tokens(tokenizer, 0, 0)
    num_free = 512 - len(turn) - 175  # prompt and template have about 175 tokens
    around = num_free * 100 // len(tokenizer.encode(" y" * 100, add_special_tokens=False).ids)
    lengths, num_spliced = set(), 0
    async with httpx.AsyncClient(timeout=60) as client:
        for num_words in [0, *range(around - 15, around + 15), 1000]:
            entry = {"name": "f", "params": {"x": 0}, "output": " y" * num_words}
            headers = {"X-Request-Id": f"long-{num_words}", "X-Precall-Secret": "the secret of the long one"}
            posted = await client.post(
                f"{root}/cache-tool-output/chatcmpl-long-{num_words}", json=[entry], headers=headers
            )
            assert posted.json() == {"cached": 1}, posted.text
            xargs = [{"replay_token_ids": turn}, {"replay_token_ids": []}]
            body = {"model": "m", "messages": [{"role": "user", "content": "go"}], "tools": TOOLS[:1], "max_tokens": 30}
            body |= {"precall": {"turn_xargs": xargs}, "return_token_ids": True}
            reply = (await client.post(f"{root}/v1/chat/completions", json=body, headers=headers)).json()
            num_spliced += len(reply.get("precall", {}).get("executed_turns", []))
            lengths.add(reply["usage"]["total_tokens"])
        assert 1 < num_spliced < 31
        assert 480 < max(lengths) <= 512
        await run_bystander(client, root, 1)
