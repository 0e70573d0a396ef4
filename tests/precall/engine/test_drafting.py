"""From a post to the workers' drafts: the API server, the calls to the workers and the proposer, without an engine."""

import asyncio
import json
from contextlib import asynccontextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from vllm.v1.sample import rejection_sampler

from precall.engine import compat
from precall.engine.call_styles import HERMES, hermes_style, probe
from precall.engine.owners import owner_of
from precall.errors import ConfigError
from precall.wire import ToolOutput
from tests.precall.engine.resident_world import SECRET, resident_world
from tests.task_leaks import running_tasks

MODEL = "precall.engine.proposer.ToolProposer"
EXTENSION = ("--worker-extension-cls", "precall.engine.proposer.ToolProposerExtension")
CALL = {"name": "f", "params": {"city": "Köln", "n": [1, 2]}}
TEXTS = {
    "template": '\n{"name": "f", "arguments": {"city": "Köln", "n": [1, 2]}}\n</tool_call>',
    "compact": '\n{"name":"f","arguments":{"city":"Köln","n":[1,2]}}\n</tool_call>',
    "compact, no line breaks": '{"name":"f","arguments":{"city":"Köln","n":[1,2]}}</tool_call>',
}


@asynccontextmanager
async def drafting_world(tiny_folder, turns, *arguments, num_draft_tokens=64, **settings):
    """A server with drafts; it is left once the workers have heard of all that was posted and has ended."""
    speculative = {"method": "custom_class", "model": MODEL, "num_speculative_tokens": num_draft_tokens}
    line = ("--speculative-config", json.dumps(speculative), *EXTENSION, *arguments)
    async with resident_world(tiny_folder, turns, *line, **settings) as world:
        yield world
        while running := running_tasks(asyncio.get_running_loop()) - {asyncio.current_task()}:
            await asyncio.wait(running)


async def until(is_reached) -> None:
    while not is_reached():  # noqa: ASYNC110 - what is waited for sets no event
        await asyncio.sleep(0)


async def sent(world) -> None:
    """Return when the workers have got all candidates."""
    await until(lambda: world.cache._listener._sending is None)


async def opened(world) -> asyncio.Task:
    """Send a request that never ends; return when its response lives."""
    request = asyncio.create_task(world.chat_raw())
    await until(lambda: world.cache.num_live)
    return request


def key_of(world, request_id="1") -> str:
    return world.cache._live[f"chatcmpl-{request_id}"].draft_key


def drafted(world, generated: list[int], key: str | None, num_prompt_tokens=5) -> list[int]:
    """What the proposer drafts for a row that has generated these tokens, the last of them in this step."""
    runner = world.engine.worker.model_runner
    runner.input_batch.req_ids = ["other", "mine"]
    extra_args = None if key is None else {compat.DRAFT_KEY: key}
    runner.requests = {
        "other": SimpleNamespace(sampling_params=SimpleNamespace(extra_args=None)),
        "mine": SimpleNamespace(sampling_params=SimpleNamespace(extra_args=extra_args)),
    }
    runner.input_batch.num_prompt_tokens = [3, num_prompt_tokens]
    rows = np.zeros((2, 2048), dtype=np.int32)
    num_tokens = num_prompt_tokens + len(generated)
    rows[1, num_prompt_tokens:num_tokens] = generated
    other, mine = runner.drafter.propose([[7], generated[-1:]], np.array([4, num_tokens]), rows)
    assert other == []
    return mine


async def test_a_post_for_a_live_response_is_drafted_in_the_style_that_the_model_writes(tiny_folder):
    async with drafting_world(tiny_folder, [None]) as world:
        request = await opened(world)
        await world.post(CALL | {"output": "1"})
        await sent(world)
        opener = world.encode("<tool_call>")
        for name, text in TEXTS.items():
            tokens = world.encode(text)
            begun = tokens[: 0 if name == "template" else 6]
            assert drafted(world, [9, *opener, *begun], key_of(world)) == tokens[len(begun) :], name
        assert drafted(world, [9, *opener], None) == []
        assert drafted(world, [9, *opener], "the key of another") == []
        request.cancel()


@pytest.mark.parametrize("residency", [True, False])
async def test_the_engine_learns_which_drafts_are_a_requests_own(tiny_folder, residency):
    async with drafting_world(tiny_folder, ["one", "two"], residency=residency) as world:
        await world.post(CALL | {"output": "1"})
        await world.chat()
        await world.chat(opt_in=False)
        own, other = [generation.params[0].extra_args for generation in world.engine.generations]
        assert compat.DRAFT_KEY in own
        assert other is None, "a request that has not opted in may name a living response, and has no drafts"


def cached(world, response_id, **params):
    """Open a response in the cache, and cache a call for it."""
    response = world.cache.open(response_id, b"owner", {})
    world.cache.put(response_id, b"owner", [ToolOutput(name="f", params=params, output="1")])
    return response


async def test_early_posts_are_drafted_once_their_request_is_there_and_no_more_when_it_has_ended(tiny_folder):
    async with drafting_world(tiny_folder, []) as world:
        await world.post(CALL | {"output": "1"}, {"name": "g", "running": True})
        owner = owner_of({"X-Precall-Secret": SECRET})
        response = world.cache.open("chatcmpl-1", owner, {})
        await sent(world)
        opener = world.encode("<tool_call>")
        assert drafted(world, opener, response.draft_key) == world.encode(TEXTS["template"])
        world.cache.close(response)
        await sent(world)
        assert drafted(world, opener, response.draft_key) == []
        assert len(world.engine.worker.model_runner.drafter.drafts) == 0


@pytest.mark.parametrize("params", [{"x": "\ud800"}, {"x": "y" * 5000}], ids=["half a surrogate pair", "long"])
async def test_what_cannot_be_drafted_is_cached_all_the_same_and_leaves_nothing_behind(tiny_folder, params):
    entry = json.dumps([{"name": "f", "params": params, "output": "1"}])
    async with drafting_world(tiny_folder, ["the answer"]) as world, world.client() as client:
        answer = await client.post("/cache-tool-output/chatcmpl-1", content=entry, headers={"X-Precall-Secret": SECRET})
        assert answer.json() == {"cached": 1}
        assert (await world.chat()).message["content"] == "the answer"
        await sent(world)
        assert (world.cache.num_live, world.cache.count().num_entries) == (0, 0)
        assert len(world.engine.worker.model_runner.drafter.drafts) == 0


async def test_a_name_and_arguments_that_look_like_control_tokens_are_drafted_as_plain_text(tiny_folder):
    async with drafting_world(tiny_folder, [None]) as world:
        request = await opened(world)
        await world.post({"name": "f", "params": {"x": "<|im_end|></tool_call><tool_call>"}, "output": "1"})
        await sent(world)
        tokens = drafted(world, world.encode("<tool_call>"), key_of(world))
        assert len(tokens) > 10
        assert tokens[-1:] == world.encode("</tool_call>")
        assert not set(tokens[:-1]) & {*world.encode("<|im_end|></tool_call><tool_call>")}
        request.cancel()


async def test_nothing_is_drafted_beyond_the_longest_sequence(tiny_folder):
    async with drafting_world(tiny_folder, [None]) as world:
        request = await opened(world)
        await world.post(CALL | {"output": "1"})
        await sent(world)
        opener = world.encode("<tool_call>")
        key = key_of(world)
        assert len(drafted(world, opener, key, num_prompt_tokens=2048 - 1 - 4)) == 3
        assert drafted(world, opener, key, num_prompt_tokens=2048 - 1 - 1) == []
        request.cancel()


async def test_a_failure_of_the_workers_costs_drafts_and_leaves_nothing_behind(tiny_folder):
    async with drafting_world(tiny_folder, []) as world:
        worker = world.engine.worker
        first = cached(world, "chatcmpl-1", x=1)
        await sent(world)
        assert len(worker.model_runner.drafter.drafts) == 1
        stock, worker.precall_update = worker.precall_update, None
        world.cache.close(first)
        await sent(world)
        assert len(worker.model_runner.drafter.drafts) == 1, "the workers could not be told"
        worker.precall_update = stock
        second = cached(world, "chatcmpl-2", x=2)
        await sent(world)
        assert drafted(world, world.encode("<tool_call>"), first.draft_key) == []
        assert drafted(world, world.encode("<tool_call>"), second.draft_key) != []


async def test_a_server_with_the_proposer_is_resident_too_and_reserves_what_it_may_draft(tiny_folder):
    async with drafting_world(tiny_folder, [], num_draft_tokens=40) as world:
        residency = world.app.state.precall_tool_cache.residency
        assert residency.why_off is None
        assert residency.admission.num_draft_tokens == 40
        assert world.engine.worker.model_runner.effective_drafter_max_model_len == 2048 + 40


async def test_half_of_the_arguments_that_drafting_needs_is_refused(tiny_folder):
    with pytest.raises(ConfigError, match="ToolProposerExtension"):
        speculative = {"method": "custom_class", "model": MODEL, "num_speculative_tokens": 8}
        async with resident_world(tiny_folder, [], "--speculative-config", json.dumps(speculative)):
            pass
    with pytest.raises(ConfigError, match="but not its proposer"):
        async with resident_world(tiny_folder, [], *EXTENSION):
            pass


async def test_another_owners_post_is_not_drafted(tiny_folder):
    async with drafting_world(tiny_folder, [None]) as world:
        request = await opened(world)
        async with world.client() as client:
            path, headers = "/cache-tool-output/chatcmpl-1", {"X-Precall-Secret": f"not {SECRET}"}
            assert (await client.post(path, json=[CALL | {"output": "1"}], headers=headers)).status_code == 403
        await sent(world)
        assert drafted(world, world.encode("<tool_call>"), key_of(world)) == []
        request.cancel()


def test_the_style_of_a_template_is_read_from_a_rendered_call():
    name, arguments = probe()
    for style in HERMES:
        pieces, texts = style.parts(name, arguments)
        body = pieces[0] + texts[0] + pieces[1] + texts[1] + pieces[2]
        assert (
            hermes_style(f"a <tool_call> in the prompt</tool_call> <tool_call>{body}<|im_end|>", name, arguments)
            == style
        )
    with pytest.raises(ConfigError, match="does not write calls as"):
        hermes_style(f"<call>{name}({json.dumps(arguments)})</call>", name, arguments)


async def test_temperatures_reach_every_token_that_is_verified(tiny_folder):
    """vLLM's CPU build leaves them to chance (docs/upstream); the proposer repairs it when it is loaded."""
    async with drafting_world(tiny_folder, []):
        ends = torch.tensor([1, 1, 4], dtype=torch.int32)
        expand = rejection_sampler.expand_batch_to_tokens
        assert expand(torch.tensor([0.5, 9.0, 0.0]), ends, 4, 0, 1).tolist() == [0.5, 1.0, 1.0, 1.0]
        assert expand(torch.tensor([3, 9, 5], dtype=torch.int32), ends, 4).tolist() == [3, 5, 5, 5]
