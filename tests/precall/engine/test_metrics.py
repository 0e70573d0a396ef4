"""What the engine side counts, against counts made by hand, through vLLM's own API server."""

import asyncio
import re
from pathlib import Path

from precall.engine.metrics import show_state
from precall.engine.settings import EngineSettings
from precall.engine.steps import step_counters
from precall.engine.store import ToolCache
from precall.wire import ToolOutput
from tests.precall.engine.counted import counted, read
from tests.precall.engine.resident_world import call_text, resident_world
from tests.precall.engine.worlds import OTHER_SECRET, Clock, World

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"
ENTRY = {"name": "f", "params": {"x": 1}, "output": "one"}
CALL = call_text("f", x=1)


async def test_spliced_turns_and_their_tokens_are_counted(tiny_folder):
    async with resident_world(tiny_folder, [f"well {CALL}", CALL, call_text("g")]) as world:
        with counted() as added:
            await world.post(ENTRY)
            reply = await world.chat()
        first, second = reply.executed
        prompt, context, _ = world.engine.generations[0].contexts
        assert added == {
            "precall_posts_total 200": 1,
            "precall_requests_total resident": 1,
            "precall_lookups_total hit": 2,
            "precall_lookups_total miss": 1,
            "precall_spliced_turns_total": 2,
            "precall_spliced_tokens_total": len(first["result_token_ids"]) + len(second["result_token_ids"]),
            # Of each turn all but its last token has been through the model.
            "precall_prefill_tokens_avoided_total": len([*prompt, *first["token_ids"]])
            - 1
            + len([*context, *second["token_ids"]])
            - 1,
        }


async def test_lookups_that_waited_are_told_from_those_that_did_not(tiny_folder):
    async with resident_world(tiny_folder, [CALL, "done", CALL], max_wait_s=0.05) as world:
        with counted() as added:
            await world.post(ENTRY | {"output": None})
            await world.chat()
            await world.post({"name": "f", "params": {"x": 1}, "running": True}, request_id="2")
            await world.chat(request_id="2")
        lookups = {name: value for name, value in added.items() if "lookups" in name}
        assert lookups == {"precall_lookups_total hit": 1, "precall_lookups_total miss_after_wait": 1}
    async with resident_world(tiny_folder, [CALL, "done"], max_wait_s=5.0) as world:
        with counted() as added:
            await world.post({"name": "f", "params": {"x": 1}, "running": True})
            waiting = asyncio.create_task(world.chat())
            await asyncio.wait_for(world.engine.has_turn_ended.wait(), 5)
            await world.post(ENTRY)
            await waiting
        assert [name for name in added if "lookups" in name] == ["precall_lookups_total hit_after_wait"]


async def test_requests_that_run_as_ordinary_ones_are_counted_with_the_reason(tiny_folder):
    async with resident_world(tiny_folder, ["hello"] * 4, num_blocks=17 + 2) as world:
        with counted() as added:
            await world.chat(stop=["x"])
            await world.chat(seed=1, temperature=1.0)
            await world.chat(max_tokens=257)
            await world.chat(opt_in=False)
        assert added == {
            "precall_requests_total ordinary it has stop strings": 1,
            "precall_requests_total ordinary it samples with a seed": 1,
            "precall_requests_total ordinary no KV blocks are free for a resident sequence": 1,
        }
    async with resident_world(tiny_folder, ["hello"] * 2, "--max-num-seqs", "1") as world:
        with counted() as added:
            await world.chat()
        assert added == {"precall_requests_total ordinary no seat is free for a resident sequence": 1}
        world.app.state.precall_tool_cache.residency._splicer = None
        with counted() as added:
            await world.chat()
        assert added == {"precall_requests_total ordinary no request of this server can be resident": 1}


async def test_a_hit_that_is_not_spliced_says_why(tiny_folder, monkeypatch):
    async with resident_world(tiny_folder, [CALL] * 3, "--max-model-len", "512", num_blocks=5 + 3) as world:
        with counted() as added:
            await world.post(ENTRY | {"output": " x" * 512})
            await world.chat(max_tokens=60)
        assert added["precall_refused_splices_total length"] == 1
        with counted() as added:
            await world.post(ENTRY | {"output": " x" * 200}, request_id="2")
            await world.chat(max_tokens=60, request_id="2")
        assert added["precall_refused_splices_total room"] == 1
        monkeypatch.setattr(world.app.state.precall_tool_cache.residency._splicer._template, "tokens", None)
        with counted() as added:
            await world.post(ENTRY, request_id="3")
            await world.chat(max_tokens=60, request_id="3")
        assert added["precall_refused_splices_total error"] == 1
        assert "precall_spliced_turns_total" not in added


async def test_a_server_shows_what_it_holds_and_at_the_end_nothing(tiny_folder):
    async with resident_world(tiny_folder, [CALL, None]) as world:
        await world.post(ENTRY)
        waiting = asyncio.create_task(world.chat(stream=True))
        await asyncio.wait_for(world.engine.has_turn_ended.wait(), 5)
        async with world.client() as client:
            held = read((await client.get("/metrics")).text)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        gauges = ("live_responses", "entries", "entry_bytes", "resident_sequences", "reserved_blocks")
        # One entry: f, its arguments and its output; the longest request's 16 blocks of 2048 tokens.
        num_bytes = len("f" + '{"x":1}' + "one")
        assert [held[f"precall_{name}"] for name in gauges] == [1, 1, num_bytes, 1, 16]
        async with world.client() as client:
            left = read((await client.get("/metrics")).text)
        assert [left[f"precall_{name}"] for name in gauges] == [0, 0, 0, 0, 0]


async def test_what_stalls_is_counted_as_stalled_and_not_as_another_request(tiny_folder):
    async with resident_world(tiny_folder, [CALL, None, "done"], stall_timeout_s=0.05) as world:
        await world.post(ENTRY)
        with counted() as added:
            await world.chat()
        assert added["precall_stalled_turns_total"] == 1
        assert {name: value for name, value in added.items() if "requests" in name} == {
            "precall_requests_total resident": 1
        }


async def test_posts_are_counted_by_the_status_of_their_answer():
    world = await World(api_keys=["k"]).start()
    key = {"Authorization": "Bearer k"}
    with counted() as added:
        await world.post([ENTRY])
        await world.post([ENTRY], **key)
        await world.post([ENTRY], "another-1", **key)
        await world.post("no json", **key)
        await world.post([ENTRY], secret="short", **key)
    assert added == {f"precall_posts_total {status}": 1 for status in (200, 400, 401, 404, 422)}
    assert read()["precall_entries"] == 1, "an early post is held"
    world.clock.now_s += 11
    assert read()["precall_entries"] == 0, "until its time is over"


async def test_another_owners_post_is_counted_as_refused():
    world = await World().start()
    await world.open()
    with counted() as added:
        await world.post([ENTRY], secret=OTHER_SECRET)
    assert added == {"precall_posts_total 403": 1}
    await world.end()


def test_counting_removes_nothing_and_leaves_out_what_is_over():
    clock = Clock()
    cache = ToolCache(EngineSettings(), clock)
    response = cache.open("chatcmpl-1", b"o", {})
    cache.put("chatcmpl-1", b"o", [ToolOutput(name=name, params={}, output="x") for name in "fg"])
    clock.now_s += 61
    assert cache.count().num_entries == 0
    assert len(response.table) == 2, "the cache belongs to the event loop, and this may be another thread"


def test_where_vllm_serves_files_of_several_processes_no_gauge_is_set_up_and_it_is_said(monkeypatch, vllm_log):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "/nowhere")
    before = read()["precall_live_responses"]
    cache = ToolCache(EngineSettings())
    cache.open("chatcmpl-1", b"o", {})
    show_state(cache, None)
    assert "PROMETHEUS_MULTIPROC_DIR is set" in vllm_log.text
    assert read()["precall_live_responses"] == before


async def test_the_document_names_every_metric_and_no_other(tiny_folder):
    step_counters()
    async with resident_world(tiny_folder, []):
        served = {name.split()[0] for name in read()}
    # These have labels, and no sample before the first event.
    served |= {"precall_posts_total", "precall_requests_total"}
    assert set(re.findall(r"^\| `(precall_\w+)", DOCUMENT.read_text(), re.MULTILINE)) == served
