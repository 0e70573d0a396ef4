"""`make overhead`: what the client adds to a turn, at 256 live agents against an engine that answers at once.

Agents whose engine takes no time keep the client's loop busy without a pause, so that its CPU time over the turns is
what a turn costs it; unlike wall time, it does not count what else the machine does. Arms run one after the other in
blocks (harness/overhead/arms.py), each other block in reverse. Figures are means over blocks of differences within a
block between their 95 % limits, in milliseconds per turn; `added_ms_per_turn` is the median of `on_minus_streamed_ms`,
the noise floor the half-width for the streamed loop against itself. The last line on stdout is one JSON object, kept in
results/bench/overhead.json.
"""

import argparse
import asyncio
import gc
import os
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from rich.console import Console

from harness.bench import write_bench
from harness.metrics.statistics import Interval, block_interval
from harness.overhead.arms import ARMS, Agent

PAIRS = {
    "off_minus_streamed_ms": ("off", "streamed"),
    "off_minus_plain_ms": ("off", "plain"),
    "on_minus_streamed_ms": ("on", "streamed"),
    "on_with_request_minus_streamed_ms": ("on_with_request", "streamed"),
    "streamed_against_itself_ms": ("streamed_again", "streamed"),
}


@asynccontextmanager
async def instant_engine() -> AsyncGenerator[str, None]:
    """Yield the address of an engine in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "harness.overhead.instant_engine"),
        stdin=asyncio.subprocess.PIPE,  # which ends with this process, however that ends, and the engine with it
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None, "the output is a pipe"
        port = int(await process.stdout.readline())
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        await process.wait()


def client_of(url: str, num_agents: int) -> AsyncOpenAI:
    """Return a client with connections enough for all agents and their drafts, as long as it takes to get one."""
    limits = httpx.Limits(
        max_connections=2 * num_agents, max_keepalive_connections=2 * num_agents, keepalive_expiry=None
    )
    http_client = DefaultAsyncHttpxClient(limits=limits, timeout=None)
    return AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=None, http_client=http_client)


async def cpu_ms_per_turn(agent: Agent, num_agents: int, num_turns: int) -> float:
    """Run all agents at once and return the CPU milliseconds that a turn has taken in this process."""
    gc.collect()
    started_s = time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(num_agents):
            group.create_task(agent(num_turns))
    return 1000.0 * (time.process_time() - started_s) / (num_agents * num_turns)


async def measure(num_agents: int, num_turns: int, num_blocks: int) -> list[dict[str, float]]:
    """Return, per block, the CPU milliseconds of a turn by arm."""
    console = Console(stderr=True)
    blocks: list[dict[str, float]] = []
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(instant_engine())
        # A client for each arm: what connections one leaves open costs the next one time for each of its requests.
        compared = {
            name: make(await stack.enter_async_context(client_of(url, num_agents))) for name, make in ARMS.items()
        }
        for agent in compared.values():
            await cpu_ms_per_turn(agent, num_agents, 1)  # connections and caches, before anything is counted
        for block in range(num_blocks):
            names = list(compared) if block % 2 == 0 else list(reversed(compared))
            blocks.append({name: await cpu_ms_per_turn(compared[name], num_agents, num_turns) for name in names})
            console.print(f"block {block + 1} of {num_blocks}: {_rounded(blocks[-1])}")
    return blocks


def figures(blocks: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Return the differences between arms with their intervals, and each arm's median."""
    found: dict[str, Any] = {}
    for name, (arm, base) in PAIRS.items():
        interval = block_interval([block[arm] - block[base] for block in blocks])
        found[name] = _rounded_interval(interval)
        if name == "streamed_against_itself_ms" and interval.low is not None and interval.high is not None:
            found["noise_floor_ms"] = round((interval.high - interval.low) / 2.0, 3)
    medians = {arm: statistics.median(block[arm] for block in blocks) for arm in blocks[0]}
    added_ms = statistics.median(block["on"] - block["streamed"] for block in blocks)
    return {"added_ms_per_turn": round(added_ms, 3), **found, "cpu_ms_per_turn": _rounded(medians)}


def _rounded_interval(interval: Interval) -> list[float | None]:
    return [None if value is None else round(value, 3) for value in (interval.low, interval.mid, interval.high)]


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m harness.overhead")
    parser.add_argument("--agents", type=int, default=256)
    parser.add_argument("--turns", type=int, default=3, help="turns of each agent, in each arm of each block")
    parser.add_argument("--blocks", type=int, default=5)
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    blocks = asyncio.run(measure(asked.agents, asked.turns, asked.blocks))
    shape = {"num_agents": asked.agents, "num_turns": asked.turns, "num_blocks": asked.blocks}
    write_bench("overhead", {**shape, **figures(blocks), "load_average_before": round(load, 2)}, blocks=blocks)


if __name__ == "__main__":
    main()
