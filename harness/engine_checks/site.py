"""A server under stress as its clients reach it: requests, posts, and what it says of itself."""

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx
from tokenizers import Tokenizer

from precall.wire import REQUEST_ID_HEADER, SECRET_HEADER, post_path

RUNNING = "vllm:num_requests_running"
WAITING = "vllm:num_requests_waiting"
KV_USAGE = "vllm:kv_cache_usage_perc"
LIVE = "precall_live_responses"
ENTRIES = "precall_entries"
STALLED = "precall_stalled_turns_total"
DRAFTED = "precall_drafted_tokens_total"
PREEMPTED = "vllm:num_preemptions_total"
RESERVED = "precall_reserved_blocks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """How a stream ended: its status, the turns that were executed in it, and times from its sending, in s.

    `status` None: the connection broke.
    """

    status: int | None
    num_executed: int = 0
    ttft_s: float | None = None
    e2el_s: float | None = None


@dataclass(slots=True, kw_only=True)
class Site:
    """`statuses` counts the answers by kind and status, `broken` are the connections that broke."""

    root: str
    client: httpx.AsyncClient
    tokenizer: Tokenizer
    statuses: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    async def stream(self, route: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> Streamed:
        """Send a request and read its stream to the end."""
        sent_s = time.monotonic()
        first_s: float | None = None
        num_executed = 0
        url = f"{self.root}/v1/{route}"
        try:
            async with self.client.stream("POST", url, json=body | {"stream": True}, headers=headers) as stream:
                self.statuses[f"{route} {stream.status_code}"] += 1
                if stream.status_code != 200:
                    await stream.aread()
                    return Streamed(status=stream.status_code)
                async for line in stream.aiter_lines():
                    if not line.startswith("data: {"):
                        continue
                    if '"executed_turns"' in line:
                        num_executed += len(json.loads(line.removeprefix("data: "))["precall"]["executed_turns"])
                    elif first_s is None and '"token_ids":[' in line:
                        first_s = time.monotonic()
        except httpx.HTTPError as error:
            self.broken.append(f"{route}: {error!r}")
            return Streamed(status=None)
        ttft_s = None if first_s is None else first_s - sent_s
        return Streamed(status=200, num_executed=num_executed, ttft_s=ttft_s, e2el_s=time.monotonic() - sent_s)

    async def post(self, request_id: str, secret: str, entries: list[dict[str, Any]]) -> None:
        """Post entries for the response to a request."""
        url = self.root + post_path(f"chatcmpl-{request_id}")
        try:
            answer = await self.client.post(url, json=entries, headers={SECRET_HEADER: secret})
        except httpx.HTTPError as error:
            self.broken.append(f"post: {error!r}")
        else:
            self.statuses[f"post {answer.status_code}"] += 1

    async def gauge(self, name: str) -> float | None:
        """Return a gauge or counter, summed over labels; None when the server has none of this name."""
        text = (await self.client.get(f"{self.root}/metrics")).text
        values = [line.split()[-1] for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} "))]
        return sum(map(float, values)) if values else None

    async def is_alive(self) -> bool:
        """Return whether the server is healthy and still generates."""
        try:
            health = await self.client.get(f"{self.root}/health", timeout=30)
            body = {"model": "m", "prompt": [10] * 5, "max_tokens": 5, "ignore_eos": True}
            answer = await self.client.post(f"{self.root}/v1/completions", json=body, timeout=30)
        except httpx.HTTPError:
            return False
        return health.is_success and answer.is_success

    @property
    def num_server_errors(self) -> int:
        """Answers with a status of 500 or above, and connections that broke."""
        return len(self.broken) + sum(n for kind, n in self.statuses.items() if int(kind.split()[-1]) >= 500)


def opt_in_headers(request_id: str, secret: str) -> dict[str, str]:
    """Return the headers of a request that takes part in the tool cache."""
    return {REQUEST_ID_HEADER: request_id, SECRET_HEADER: secret}
