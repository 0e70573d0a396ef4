"""Reads the counters of a server from its Prometheus endpoint."""

import httpx
from prometheus_client.parser import text_string_to_metric_families

from precall.errors import BackendError

PREFIXES = ("vllm:", "precall_")
SCRAPE_TIMEOUT_S = 30.0

PROMPT_TOKENS = "vllm:prompt_tokens_total"
"""Prompt tokens of the requests that have given a token, those from the prefix cache included."""
GENERATION_TOKENS = "vllm:generation_tokens_total"
PREFIX_CACHE_QUERIES = "vllm:prefix_cache_queries_total"
"""Prompt tokens that were looked up in the prefix cache."""
PREFIX_CACHE_HITS = "vllm:prefix_cache_hits_total"
"""Prompt tokens that were found there."""
STEPS = "precall_engine_steps_total"
"""Engine steps that computed something. This and the next three are of the plugin precall_steps: docs/metrics.md."""
DECODE_STEPS = "precall_decode_steps_total"
CONTEXT_TOKENS = "precall_scheduled_context_tokens_total"
GENERATION_TOKENS_SCHEDULED = "precall_scheduled_generation_tokens_total"


async def scrape(base_url: str) -> dict[str, float]:
    """Return the server's counters by name, summed over labels; empty if it has no such endpoint.

    `base_url` may end in /v1. Counters end in _total, and of a histogram there are the _count and the _sum; gauges are
    left out. vLLM's own see the first chunk of a resident sequence only. Raises BackendError when nobody answers.
    """
    url = f"{base_url.rstrip('/').removesuffix('/v1')}/metrics"
    try:
        async with httpx.AsyncClient(timeout=SCRAPE_TIMEOUT_S, follow_redirects=True) as client:
            response = await client.get(url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        raise BackendError(f"{url} does not answer ({reason}); it must while its server runs.") from error
    if not response.is_success or not response.headers.get("content-type", "").startswith("text/plain"):
        return {}
    return parse_counters(response.text)


def parse_counters(text: str) -> dict[str, float]:
    """Return the counters in a Prometheus text, as `scrape` does."""
    counters: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        suffixes = {"counter": ("_total",), "histogram": ("_count", "_sum")}.get(family.type, ())
        for sample in family.samples:
            if sample.name.startswith(PREFIXES) and sample.name.endswith(suffixes):
                counters[sample.name] = counters.get(sample.name, 0.0) + sample.value
    return counters
