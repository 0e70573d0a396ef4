"""Replay under load, requests that are none of its business, values it must refuse, and salts that keep runs apart."""

import asyncio

import httpx
import pytest

from harness import build
from harness.backends.metrics_endpoint import PREFIX_CACHE_HITS, PREFIX_CACHE_QUERIES, scrape
from harness.replay.models import ReplayTarget
from harness.workloads.bfcl import load_bfcl
from precall.chat import ChatClient, Sampling
from precall.errors import BackendError
from precall.events import EventKind
from precall.stream import Generation
from tests.integration.arms import build_one, entries, new_salt, run_configured, trajectories_of

pytestmark = pytest.mark.engine

NUM_AGENTS = 8
QUESTION = [{"role": "user", "content": "Say anything."}]


async def ask_freely(client: ChatClient) -> Generation:
    extra_body = {"return_token_ids": True, "ignore_eos": True, "cache_salt": new_salt()}
    return await client.generate(QUESTION, (), Sampling(max_tokens=150), extra_body)


async def test_eight_trajectories_at_once_are_exact_and_leave_another_request_in_their_batch_alone(
    config, client, target, renderer
):
    tasks = load_bfcl(config.workload.categories, num_tasks=NUM_AGENTS, seed=1)
    recorded = build.trajectories_of(config, tasks)
    alone = await ask_freely(client)
    run, *beside = await asyncio.gather(
        run_configured("base-1", config, tasks, [target]), ask_freely(client), ask_freely(client)
    )
    trajectories = trajectories_of(run)
    assert [trajectory.task_id for trajectory in trajectories] == [task.task_id for task in tasks]
    for trajectory in trajectories:
        generated = [turn.generation.output_token_ids for turn in trajectory.turns]
        assert generated == [tuple(renderer.target_tokens(turn)) for turn in recorded[trajectory.task_id].turns]
    assert [generation.output_token_ids for generation in beside] == [alone.output_token_ids] * 2
    sent_s = entries(run.events, EventKind.GENERATION_FINISHED, "sent_s")
    assert sum(time_s < beside[0].finished_s for time_s in sent_s) >= NUM_AGENTS  # they were in one batch


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("abc", "replay_token_ids must be a flat list of token ids, each an integer >= 0."),
        ([-1], "replay_token_ids must be a flat list of token ids, each an integer >= 0."),
        ([1.5], "replay_token_ids must be a flat list of token ids, each an integer >= 0."),
        ([1, 2, 3], "replay_token_ids holds 3 tokens and max_tokens is 2; it must be at least as large."),
    ],
)
async def test_a_bad_value_is_refused_with_status_400_and_the_rule(config, client, target, value, message):
    extra_body = {"vllm_xargs": {"replay_token_ids": value}}
    body = {"model": config.model.name, "messages": QUESTION, "max_tokens": 2, **extra_body}
    async with httpx.AsyncClient() as plain:
        response = await plain.post(f"{target.base_url}/chat/completions", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["message"] == message
    with pytest.raises(BackendError, match=message.split(";")[0]):
        await client.generate(QUESTION, (), Sampling(max_tokens=2), extra_body)


async def test_a_salt_keeps_the_prefix_cache_of_one_run_from_another(client, target, renderer):
    (task,) = load_bfcl(["live_multiple"], num_tasks=1, seed=0)
    recorded = build_one(task)

    async def looked_up_and_found(salt: str) -> tuple[float, float]:
        before = await scrape(target.base_url)
        replay = ReplayTarget(client, recorded, renderer, salt)
        await anext(replay.turns(list(task.user_turns[0]), task.make_tools()))
        after = await scrape(target.base_url)
        return tuple(after[name] - before.get(name, 0.0) for name in (PREFIX_CACHE_QUERIES, PREFIX_CACHE_HITS))

    salt = new_salt()
    num_prompt, num_found = await looked_up_and_found(salt)
    assert num_prompt > 128 and num_found == 0  # more than one block
    assert await looked_up_and_found(new_salt()) == (num_prompt, 0)
    num_again, num_found = await looked_up_and_found(salt)
    assert num_again == num_prompt and 0.5 * num_prompt <= num_found < num_prompt
