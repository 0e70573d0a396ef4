"""What the stress run takes from a server's answers."""

import httpx
from tokenizers import Tokenizer, models

from harness.engine_checks.site import Site

METRICS = """# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0"} 0.25
vllm:kv_cache_usage_perc{engine="1"} 0.5
vllm:kv_cache_usage_perc_more{engine="1"} 7
precall_entries 3
"""
STREAM = "\n\n".join(
    [
        'data: {"choices":[{"token_ids":null}]}',
        'data: {"choices":[],"precall":{"executed_turns":[{},{}]}}',
        'data: {"choices":[{"token_ids":[5]}]}',
        'data: {"choices":[],"precall":{"executed_turns":[{}]}}',
        "data: [DONE]",
    ]
)


def answer(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/metrics":
        return httpx.Response(200, text=METRICS)
    if request.url.path == "/v1/completions":
        raise httpx.ReadError("gone")
    if b"refuse" in request.content:
        return httpx.Response(503)
    return httpx.Response(200, text=STREAM)


def site() -> Site:
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return Site(root="http://server", client=client, tokenizer=Tokenizer(models.BPE()))


async def test_a_gauge_is_summed_over_its_labels_and_one_that_is_not_there_is_not_zero():
    assert await site().gauge("vllm:kv_cache_usage_perc") == 0.75
    assert await site().gauge("precall_entries") == 3
    assert await site().gauge("precall_reserved_blocks") is None


async def test_a_stream_tells_of_executed_turns_and_when_its_first_token_came():
    place = site()
    streamed = await place.stream("chat/completions", {})
    assert (streamed.status, streamed.num_executed) == (200, 3)
    assert 0 <= streamed.ttft_s <= streamed.e2el_s
    assert place.statuses == {"chat/completions 200": 1} and place.num_server_errors == 0


async def test_a_refusal_by_the_server_and_a_connection_that_breaks_are_its_errors():
    place = site()
    assert (await place.stream("chat/completions", {"refuse": 1})).status == 503
    assert (await place.stream("completions", {})).status is None
    await place.post("1", "secret", [])
    assert place.num_server_errors == 2 and place.broken == ["completions: ReadError('gone')"]
    assert not await place.is_alive()
