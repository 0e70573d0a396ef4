"""`python -m harness.engine_checks.stress [SECONDS]`: residency when the KV cache is short and clients misbehave.

A server whose KV cache holds 4 longest sequences serves 64 agents (`plans.py`) and bystanders for SECONDS (120), in two
segments; between them a stock server serves the same agents as ordinary requests, for as long. A last segment runs on a
server that drafts cached calls too. Then the same plans run on stock streaming sessions. The last line is one JSON
object, kept in results/bench/stress_engine.json. The exit status is 0 if every request ended, nothing was left behind,
turns were spliced, calls drafted, and the stock sessions stood still.
"""

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from tokenizers import Tokenizer

from harness.backends.vllm_server import VllmServer
from harness.bench import write_bench
from harness.display import Display
from harness.engine_checks.agents import Agents
from harness.engine_checks.bystanders import Wait, quantile_ratio, send_steadily
from harness.engine_checks.plans import plan_of
from harness.engine_checks.servers import run_stock_sessions, server_settings
from harness.engine_checks.site import (
    DRAFTED,
    ENTRIES,
    KV_USAGE,
    LIVE,
    PREEMPTED,
    RESERVED,
    RUNNING,
    STALLED,
    WAITING,
    Site,
)

NUM_AGENTS = 64
SEED = 0
ARMS = ("ours", "stock", "stock", "ours", "drafting")
STOCK = "stock"
DRAIN_S = 60.0
"""How long a request may take to end once no other comes."""
SETTLE_S = 15.0
"""How long what has ended may stay counted: early posts for requests that never came live `early_ttl_s`, 10 s."""


@dataclass(slots=True, kw_only=True)
class Segment:
    """What one arm did for a while. `num_left` by gauge; None: the server has no such gauge. Stalled turns, drafted
    tokens and preemptions are those since the server's start."""

    arm: str
    num_requests: int
    num_unfinished: int
    num_spliced_turns: int
    num_server_errors: int
    is_alive: bool
    num_left: dict[str, float | None]
    num_stalled_turns: float | None
    num_drafted_tokens: float | None
    num_preemptions: float | None
    waits: list[Wait]
    statuses: dict[str, int]
    broken: list[str]
    behaviours: dict[str, int]


async def run_segment(index: int, arm: str, site: Site, seconds: float, display: Display) -> Segment:
    """Let the agents and bystanders loose for `seconds`, wait for all that is under way, and look at what is left."""
    site.statuses.clear()
    site.broken.clear()
    agents = Agents(site=site, opts_in=arm != STOCK, label=f"{index}")
    loop = asyncio.get_running_loop()
    until_s = loop.time() + seconds

    async def go_on(agent: int) -> None:
        round_index = 0
        while loop.time() < until_s:
            plan = plan_of(SEED, agent, round_index)
            await agents.run(plan, seed=1000 * agent + round_index)
            round_index += 1

    waits: list[Wait] = []
    tasks = [asyncio.create_task(go_on(agent)) for agent in range(NUM_AGENTS)]
    sending = asyncio.create_task(send_steadily(site, seconds, index, waits, tasks))
    while not sending.done():
        await asyncio.sleep(1.0)
        done = f"{agents.tally.num_requests} requests, {agents.tally.num_open} open"
        display.count(f"{arm}: {done}, {max(0.0, until_s - loop.time()):.0f} s to go")
    await sending
    await asyncio.wait(tasks, timeout=DRAIN_S)
    pending = [task for task in tasks if not task.done()]
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in tasks:
        if not task.cancelled():
            task.result()
    left = await _settled(site)
    return Segment(
        arm=arm,
        num_requests=agents.tally.num_requests + len(waits),
        num_unfinished=len(pending),
        num_spliced_turns=agents.tally.num_spliced_turns,
        num_server_errors=site.num_server_errors,
        is_alive=await site.is_alive(),
        num_left=left,
        num_stalled_turns=await site.gauge(STALLED),
        num_drafted_tokens=await site.gauge(DRAFTED),
        num_preemptions=await site.gauge(PREEMPTED),
        waits=waits,
        statuses=dict(sorted(site.statuses.items())),
        broken=list(site.broken),
        behaviours=dict(sorted(agents.tally.behaviours.items())),
    )


async def _settled(site: Site) -> dict[str, float | None]:
    """Return the gauges once they are all 0, or after `SETTLE_S`."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + SETTLE_S
    while True:
        left = {name: await site.gauge(name) for name in (RUNNING, WAITING, KV_USAGE, LIVE, ENTRIES, RESERVED)}
        if not any(left.values()) or loop.time() > until_s:
            return left
        await asyncio.sleep(0.5)


async def run_stress(seconds: float, folder: Path, display: Display) -> tuple[list[Segment], dict[str, Any]]:
    """Run all segments and the stock sessions; `seconds` for each arm, in two segments."""
    ours, drafting, stock = server_settings()
    async with AsyncExitStack() as stack:
        display.now("starting three servers")
        sites: dict[str, Site] = {}
        for settings in (ours, drafting, stock):
            server = await stack.enter_async_context(VllmServer(settings, log_folder=folder))
            # No time limit, so that a hang shows. No connection is kept: the server closes idle ones, at any moment.
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
            client = httpx.AsyncClient(timeout=None, limits=limits)
            await stack.enter_async_context(client)
            tokenizer = Tokenizer.from_file(f"{settings.model}/tokenizer.json")
            sites[settings.name] = Site(root=server.base_url.removesuffix("/v1"), client=client, tokenizer=tokenizer)
        segments: list[Segment] = []
        for index, arm in enumerate(ARMS):
            display.now(f"{arm}, segment {index + 1} of {len(ARMS)}")
            segment = await run_segment(index, arm, sites[arm], seconds / 2, display)
            segments.append(segment)
            done = f"{segment.num_requests} requests, {segment.num_unfinished} unfinished"
            display.cell_done(f"{arm}: {done}, {segment.num_spliced_turns} turns spliced")
    display.now("stock streaming sessions, until they stand still")
    plans = [plan_of(SEED, agent, 0) for agent in range(NUM_AGENTS)]
    sessions = await run_stock_sessions(stock, plans, folder)
    display.cell_done(f"stock sessions: {sessions}")
    return segments, sessions


def summarise(segments: list[Segment], sessions: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of the last line. A gauge that the server does not have gives null, which is no success."""
    ours = [segment for segment in segments if segment.arm != STOCK]
    waits = {arm: [w for segment in segments if segment.arm == arm for w in segment.waits] for arm in set(ARMS)}
    ratios = {name: quantile_ratio(waits["ours"], waits["stock"], name) for name in ("ttft_s", "e2el_s")}
    ratio = ratios["ttft_s"]
    return {
        "target": "stress-engine",
        "requests": sum(segment.num_requests for segment in ours),
        "unfinished": sum(segment.num_unfinished for segment in ours),
        "engine_alive": all(segment.is_alive for segment in segments),
        "server_errors": sum(segment.num_server_errors for segment in ours),
        "leaked_entries": _left(ours, ENTRIES),
        "leaked_responses": _left(ours, LIVE),
        "requests_left": _left(segments, RUNNING),
        "reserved_blocks_left": _left(ours, RESERVED),
        "kv_usage_left": _left(segments, KV_USAGE),
        "spliced_turns": sum(segment.num_spliced_turns for segment in ours),
        "stalled_turns": max((segment.num_stalled_turns or 0.0 for segment in ours), default=0.0),
        "preemptions": max((segment.num_preemptions or 0.0 for segment in ours), default=0.0),
        "drafted_tokens": max((segment.num_drafted_tokens or 0.0 for segment in ours), default=0.0),
        "stock_deadlocked": sessions["stock_deadlocked"],
        "stock_sessions": sessions,
        "bystander_p99_ratio": None if ratio is None else ratio.mid,
        "bystander_p99_ratio_interval": None if ratio is None else [ratio.low, ratio.high],
        "bystander_p99_e2e_ratio": None if ratios["e2el_s"] is None else asdict(ratios["e2el_s"]),
        "segments": [_shown(segment) for segment in segments],
    }


def _left(segments: list[Segment], gauge: str) -> float | None:
    values = [segment.num_left[gauge] for segment in segments]
    return None if None in values else sum(value for value in values if value is not None)


def _shown(segment: Segment) -> dict[str, Any]:
    shown = asdict(segment)
    del shown["waits"]
    for name in ("ttft_s", "e2el_s"):
        values = sorted(getattr(wait, name) for wait in segment.waits)
        for percent in (50, 99) if values else ():
            shown[f"bystander_{name}_p{percent}"] = round(values[len(values) * percent // 100], 3)
    return shown | {"num_bystanders": len(segment.waits)}


def has_failed(figures: dict[str, Any]) -> bool:
    """Return whether the run shows that residency is not safe, or does not show that it is."""
    counted = ("unfinished", "server_errors", "leaked_entries", "leaked_responses", "requests_left")
    is_clean = all(figures[name] == 0 for name in (*counted, "reserved_blocks_left", "kv_usage_left"))
    shown = ("engine_alive", "spliced_turns", "drafted_tokens", "stock_deadlocked")
    return not (is_clean and all(figures[name] for name in shown))


def main() -> None:
    given = sys.argv[1] if len(sys.argv) > 1 else "120"
    if not given.isdecimal() or int(given) < 2:
        sys.exit(f"SECONDS is {given!r}; it must be a whole number of at least 2.")
    display = Display("stress", len(ARMS) + 1, Console(stderr=True))
    with tempfile.TemporaryDirectory(prefix="stress-engine-") as folder, display.shown():
        segments, sessions = asyncio.run(run_stress(float(given), Path(folder), display))
    figures = summarise(segments, sessions)
    write_bench("stress_engine", figures, SEED)
    sys.exit(has_failed(figures))


if __name__ == "__main__":
    main()
