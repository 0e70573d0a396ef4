"""Servers that somebody else runs, and the metrics of any server, with a fake server."""

import pytest

from harness.backends.external_server import ExternalServer, ExternalServerSettings
from harness.backends.metrics_endpoint import CONTEXT_TOKENS, GENERATION_TOKENS, STEPS, parse_counters, scrape
from harness.backends.ports import free_port
from precall.errors import BackendError, ConfigError


def settings(url: str, model: str = "small", **others: object) -> ExternalServerSettings:
    return ExternalServerSettings(name="target", url=url, model=model, **others)


async def test_an_external_server_that_serves_the_model_is_used_as_it_is(make_server):
    async with make_server() as process, ExternalServer(settings(f"{process.root_url}/v1/")) as server:
        assert server.base_url == f"{process.root_url}/v1"
        assert server.cpu_seconds() is None
        await server.check_alive()


async def test_a_model_that_is_not_served_is_refused_naming_those_that_are(make_server):
    async with make_server() as process:
        with pytest.raises(ConfigError, match=r"target\.model is 'other'; .* It serves: small, large\."):
            async with ExternalServer(settings(f"{process.root_url}/v1", model="other")):
                pass


async def test_an_address_without_v1_is_refused_with_the_status(make_server):
    async with make_server() as process:
        with pytest.raises(BackendError, match=r"/models answered with status 404; it must list its models"):
            async with ExternalServer(settings(process.root_url)):
                pass


async def test_an_endpoint_that_answers_something_else_is_refused(make_server):
    async with make_server() as process:
        with pytest.raises(BackendError, match="answered with something else than a list of models"):
            async with ExternalServer(settings(f"{process.root_url}/v0")):
                pass


async def test_a_server_that_is_not_there_is_refused():
    url = f"http://127.0.0.1:{free_port()}/v1"
    with pytest.raises(BackendError, match=f"{url}/models failed"):
        async with ExternalServer(settings(url)):
            pass


async def test_somebody_elses_server_is_not_asked_at_every_look_whether_it_is_alive(make_server, monkeypatch):
    async with make_server() as process, ExternalServer(settings(f"{process.root_url}/v1")) as server:
        asked = []
        monkeypatch.setattr(server, "_served_models", lambda: asked.append(1))
        await server.check_alive()
        assert not asked


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000/v1", "ftp://host/v1", "http://"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ConfigError, match=r"target\.url is .*; it must be like http"):
        settings(url)


def test_a_key_that_is_not_in_the_environment_is_refused(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "abc")
    monkeypatch.delenv("OTHER_KEY", raising=False)
    assert settings("http://host/v1", api_key_variable="SOME_KEY").api_key == "abc"
    with pytest.raises(ConfigError, match="must hold a key under that name"):
        _ = settings("http://host/v1", api_key_variable="OTHER_KEY").api_key


async def test_counters_are_read_and_summed_over_engines(make_server):
    async with make_server() as process:
        assert await scrape(f"{process.root_url}/v1") == {GENERATION_TOKENS: 12.0}


async def test_a_server_without_metrics_gives_no_counters(make_server):
    async with make_server() as process:
        assert await scrape(f"{process.root_url}/v1/nothing") == {}


async def test_scraping_a_server_that_is_not_there_raises():
    with pytest.raises(BackendError, match="does not answer"):
        await scrape(f"http://127.0.0.1:{free_port()}/v1")


def test_counters_of_vllm_and_ours_are_read_and_gauges_and_others_are_left_out():
    text = """# TYPE precall_engine_steps_total counter
precall_engine_steps_total 7.0
# TYPE precall_engine_steps_created gauge
precall_engine_steps_created 1.7e+09
# TYPE precall_scheduled_context_tokens_total counter
precall_scheduled_context_tokens_total 90.0
# TYPE precall_entries gauge
precall_entries 5.0
# TYPE vllm:iteration_tokens_total histogram
vllm:iteration_tokens_total_bucket{le="1.0"} 2.0
vllm:iteration_tokens_total_bucket{le="+Inf"} 3.0
vllm:iteration_tokens_total_count 3.0
vllm:iteration_tokens_total_sum 40.0
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running 2.0
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 1.0
"""
    histogram = {"vllm:iteration_tokens_total_count": 3.0, "vllm:iteration_tokens_total_sum": 40.0}
    assert parse_counters(text) == {STEPS: 7.0, CONTEXT_TOKENS: 90.0} | histogram
