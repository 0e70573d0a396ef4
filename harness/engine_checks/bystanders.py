"""Requests that have nothing to do with the tool cache, sent at a steady rate, and how long they wait."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.engine_checks.site import Site
from harness.metrics.statistics import resample_counts
from precall.errors import BackendError

RATE_PER_S = 3.0
NUM_PROMPT_TOKENS = 60
NUM_OUTPUT_TOKENS = 16
BLOCK_S = 10.0
_NUM_RESAMPLES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One bystander. `at_s` is when it was sent, from the segment's start; times in seconds."""

    segment: int
    at_s: float
    ttft_s: float
    e2el_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioOfQuantiles:
    """The quantile of one arm's waits over that of another's; `low` and `high` hold 95 % of the resampled ratios."""

    low: float
    mid: float
    high: float


async def send(site: Site, draw: random.Random, segment: int, at_s: float, waits: list[Wait]) -> None:
    """Send one bystander and add how long it waited. A bystander that is refused raises BackendError."""
    prompt = [draw.randrange(100, 4000) for _ in range(NUM_PROMPT_TOKENS)]
    body = {"model": "m", "prompt": prompt, "max_tokens": NUM_OUTPUT_TOKENS, "ignore_eos": True}
    streamed = await site.stream("completions", body | {"return_token_ids": True})
    if streamed.status != 200 or streamed.ttft_s is None or streamed.e2el_s is None:
        raise BackendError(f"A bystander got status {streamed.status} and no token; it must be served like any other.")
    waits.append(Wait(segment=segment, at_s=at_s, ttft_s=streamed.ttft_s, e2el_s=streamed.e2el_s))


async def send_steadily(
    site: Site, seconds: float, segment: int, waits: list[Wait], tasks: list[asyncio.Task[None]]
) -> None:
    """Send bystanders at `RATE_PER_S` for `seconds`, whether or not the earlier ones have been answered."""
    draw = random.Random(segment)
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    for index in range(int(seconds * RATE_PER_S)):
        at_s = index / RATE_PER_S
        await asyncio.sleep(max(0.0, started_s + at_s - loop.time()))
        tasks.append(asyncio.create_task(send(site, draw, segment, at_s, waits)))


def quantile_ratio(
    ours: Sequence[Wait], stock: Sequence[Wait], name: str, *, probability: float = 0.99
) -> RatioOfQuantiles | None:
    """Return the ratio of the quantiles of a wait (`ttft_s` or `e2el_s`), None when an arm has none.

    Source: ours. Waits close in time share a queue, so stretches of `BLOCK_S` are resampled, not requests.
    """
    first, second = _blocks(ours, name), _blocks(stock, name)
    if not first or not second:
        return None
    ratios = _resampled(first, probability, seed=0) / _resampled(second, probability, seed=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    mid = np.quantile(np.concatenate(first), probability) / np.quantile(np.concatenate(second), probability)
    return RatioOfQuantiles(low=float(low), mid=float(mid), high=float(high))


def _blocks(waits: Sequence[Wait], name: str) -> list[np.ndarray]:
    blocks: dict[tuple[int, int], list[float]] = {}
    for wait in waits:
        blocks.setdefault((wait.segment, int(wait.at_s // BLOCK_S)), []).append(getattr(wait, name))
    return [np.asarray(values) for values in blocks.values()]


def _resampled(blocks: list[np.ndarray], probability: float, seed: int) -> np.ndarray:
    """Return the quantile of each resample of the blocks, between two values as np.quantile has it."""
    values = np.concatenate(blocks)
    order = np.argsort(values)
    owners = np.repeat(np.arange(len(blocks)), [len(block) for block in blocks])[order]
    num_up_to = resample_counts(len(blocks), _NUM_RESAMPLES, seed)[:, owners].cumsum(axis=1)
    place = probability * (num_up_to[:, -1:] - 1.0)
    below, above = (values[order][(num_up_to > limit).argmax(axis=1)] for limit in (np.floor(place), np.ceil(place)))
    return below + (place % 1.0)[:, 0] * (above - below)
