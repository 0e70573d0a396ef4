"""The counters on the real engine, against numbers made by hand from what the requests sent and got."""

import asyncio
import json

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tokenizers import Tokenizer

from tests.integration.engine.sequences import KEY, TOOLS

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]

GAUGES = ("live_responses", "entries", "entry_bytes", "resident_sequences", "reserved_blocks")


async def read(client: httpx.AsyncClient, root: str) -> dict[str, float]:
    text = (await client.get(f"{root}/metrics")).text
    values: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.startswith(("precall_", "vllm:prompt_tokens")):
                name = " ".join([sample.name, *(v for k, v in sample.labels.items() if k in ("status", "outcome"))])
                values[name] = values.get(name, 0.0) + sample.value
    return values


async def added_by(client: httpx.AsyncClient, root: str, work) -> tuple[dict[str, float], list]:
    """Return what some requests at once have added to the counters, and their answers."""
    before = await read(client, root)
    answers = await asyncio.gather(*work)
    for _ in range(100):  # the scheduler's last step is reported behind the answer
        after = await read(client, root)
        await asyncio.sleep(0.1)
        if after == await read(client, root):
            break
    return {name: after[name] - before.get(name, 0.0) for name in after}, answers


async def run_resident(client, root, name, turns):
    """Run a response whose turns are forced calls, all cached, and then a turn of its own."""
    headers = {"X-Request-Id": name, "X-Precall-Secret": f"the secret of {name}, random"} | KEY
    entries = [{"name": "f", "params": {"x": index}, "output": f"{name} " * 9} for index in range(len(turns))]
    posted = await client.post(f"{root}/cache-tool-output/chatcmpl-{name}", json=entries, headers=headers)
    assert posted.json() == {"cached": len(turns)}, posted.text
    body = {"model": "m", "messages": [{"role": "user", "content": f"go {name}"}], "tools": TOOLS, "temperature": 0}
    body |= {"max_tokens": 60, "return_token_ids": True, "cache_salt": name}
    body["precall"] = {"turn_xargs": [*({"replay_token_ids": turn} for turn in turns), {"replay_token_ids": []}]}
    reply = (await client.post(f"{root}/v1/chat/completions", json=body, headers=headers)).json()
    assert len(reply["precall"]["executed_turns"]) == len(turns), reply
    return reply


async def test_scheduled_tokens_and_splices_of_resident_sequences(server):
    root = server.base_url.removesuffix("/v1")
    tokenizer = Tokenizer.from_file(f"{server.settings.model}/tokenizer.json")

    def turns(num):
        calls = [f'{{"name": "f", "arguments": {json.dumps({"x": index})}}}' for index in range(num)]
        texts = [f"<tool_call>\n{call}\n</tool_call><|im_end|>" for call in calls]
        return [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]

    async with httpx.AsyncClient(timeout=120) as client:
        work = [run_resident(client, root, f"counted-{num}", turns(num)) for num in (1, 2, 4)]
        added, replies = await added_by(client, root, work)
        left = await read(client, root)
    assert [left[f"precall_{name}"] for name in GAUGES] == [0] * 5
    num_prompt = num_result = num_in_place = num_generated = 0
    for reply in replies:
        executed = reply["precall"]["executed_turns"]
        num_prompt += executed[0]["num_prompt_tokens"]
        num_result += sum(len(turn["result_token_ids"]) for turn in executed)
        num_in_place += sum(turn["num_prompt_tokens"] + turn["num_output_tokens"] - 1 for turn in executed)
        num_generated += reply["usage"]["completion_tokens"]
    num_spliced, num_turns = 1 + 2 + 4, (1 + 2 + 4) + 3
    # Per splice the results and the one token that is sent again; nothing of the context before.
    assert added["precall_scheduled_context_tokens_total"] == num_prompt + num_result + num_spliced
    assert added["vllm:prompt_tokens_total"] == num_prompt, "what vLLM itself counts"
    # A turn's first token comes of its input; asynchronous scheduling may compute one behind its stop.
    num_decoded = num_generated - num_turns
    assert num_decoded <= added["precall_scheduled_generation_tokens_total"] <= num_decoded + num_turns
    assert added["precall_spliced_turns_total"] == added["precall_lookups_total hit"] == num_spliced
    assert added["precall_spliced_tokens_total"] == num_result
    assert added["precall_prefill_tokens_avoided_total"] == num_in_place
    assert added["precall_requests_total resident"] == added["precall_posts_total 200"] == 3


async def test_steps_and_scheduled_tokens_of_a_stock_request(server):
    root = server.base_url.removesuffix("/v1")
    body = {"model": "m", "prompt": list(range(100, 400)), "max_tokens": 20, "ignore_eos": True, "cache_salt": "stock"}
    async with httpx.AsyncClient(timeout=120) as client:
        request = client.post(f"{root}/v1/completions", json=body, headers=KEY)
        added, (answer,) = await added_by(client, root, [request])
        assert answer.json()["usage"]["total_tokens"] == 320
        assert added["precall_scheduled_context_tokens_total"] == 300
        assert added["precall_scheduled_generation_tokens_total"] == 19
        assert (added["precall_engine_steps_total"], added["precall_decode_steps_total"]) == (20, 19)
        assert added["precall_requests_total resident"] == 0
        again = client.post(f"{root}/v1/completions", json=body, headers=KEY)
        added, _ = await added_by(client, root, [again])
        # Blocks of 128 tokens: two full ones are found.
        assert added["precall_scheduled_context_tokens_total"] == 300 - 256


async def test_the_log_has_no_line_per_step_but_those_of_the_interval(server):
    log = server.log_path.read_text()
    assert "Iteration(" not in log
    assert "Loading plugin precall_steps" in log
