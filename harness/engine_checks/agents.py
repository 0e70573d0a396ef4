"""One agent's task under stress: requests until its plan is done, and posts that go right or wrong."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.engine_checks.plans import BOUNDS, MAX_TOKENS, QUESTION, TOOLS, Behaviour, Plan
from harness.engine_checks.site import Site, opt_in_headers


@dataclass(slots=True, kw_only=True)
class Tally:
    """What became of the agents' requests. `num_open` are under way."""

    num_requests: int = 0
    num_open: int = 0
    num_spliced_turns: int = 0
    behaviours: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True, kw_only=True)
class Agents:
    """The agents of one segment. `opts_in` False: the same work as ordinary requests, one per turn."""

    site: Site
    opts_in: bool
    label: str
    tally: Tally = field(default_factory=Tally)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _live: list[str] = field(default_factory=list)

    async def run(self, plan: Plan, seed: int) -> None:
        """Do one plan to its end: the last answer, a refusal, a tool that never returns, or the client's hang-up."""
        draw = random.Random(seed)
        num_done = 0
        self.tally.behaviours[plan.behaviour.value] += 1
        while num_done < len(plan.turns):
            try:
                async with asyncio.timeout(plan.leaves_after_s):
                    num_executed = await self._request(plan, num_done, draw)
            except TimeoutError:
                return
            if num_executed is None:
                return
            assert self.opts_in or num_executed == 0, "an ordinary request executes no turn"
            self.tally.num_spliced_turns += num_executed
            num_done += num_executed + 1
            assert num_done <= len(plan.turns), "more turns than were planned"
            if plan.behaviour is Behaviour.never_returns and num_done == len(plan.turns) - 1:
                return

    async def _request(self, plan: Plan, num_done: int, draw: random.Random) -> int | None:
        """Return how many turns the engine executed; None when the request was refused."""
        request_id = f"stress-{self.label}-{next(self._numbers)}"
        secret = f"the secret of {request_id}"
        headers = opt_in_headers(request_id, secret) if self.opts_in else {}
        posting = asyncio.create_task(self._post(plan, num_done, request_id, secret, draw)) if self.opts_in else None
        self.tally.num_requests += 1
        self.tally.num_open += 1
        self._live.append(request_id)
        try:
            if posting is not None and plan.behaviour is Behaviour.good and draw.random() < 0.5:
                await posting  # early; else it races with the request
            streamed = await self.site.stream("chat/completions", self._body(plan, num_done), headers)
            return streamed.num_executed if streamed.status == 200 else None
        finally:
            self._live.remove(request_id)
            self.tally.num_open -= 1
            if posting is not None:
                posting.cancel()
                await asyncio.gather(posting, return_exceptions=True)

    def _body(self, plan: Plan, num_done: int) -> dict[str, Any]:
        turns = [self.site.encode(f"{turn.text}<|im_end|>") for turn in plan.turns[num_done:]]
        xargs = [{"replay_token_ids": token_ids} for token_ids in turns]
        history = [message for turn in plan.turns[:num_done] for message in turn.messages()]
        body = {"model": "m", "messages": [QUESTION, *history], "tools": TOOLS, "max_tokens": MAX_TOKENS}
        return body | ({"precall": {"turn_xargs": xargs}} if self.opts_in else {}) | {"vllm_xargs": xargs[0]}

    async def _post(self, plan: Plan, num_done: int, request_id: str, secret: str, draw: random.Random) -> None:
        entries = plan.entries(num_done)
        post = self.site.post
        if plan.behaviour is Behaviour.random_order:
            posts = [(request_id, secret, [entry]) for entry in entries]
            strangers = [draw.choice(self._live), f"nobody-{draw.random()}"]
            posts += [(stranger, "a secret of somebody else", entries) for stranger in strangers]
            posts.append((request_id, "too short", entries))
            draw.shuffle(posts)
            for each in posts:
                await post(*each)
                await asyncio.sleep(draw.uniform(0.0, 0.1))
            return
        if plan.behaviour is Behaviour.late:
            if draw.random() < 0.5:
                await post(request_id, secret, [_announced(entry) for entry in entries])
            await asyncio.sleep(plan.post_delay_s)
        if plan.behaviour is Behaviour.floods:
            many = [{"name": f"t{index}", "output": "x"} for index in range(100)]
            large = [{"name": f"t{index}", "output": "x" * (BOUNDS["max_entry_bytes"] - 10)} for index in range(5)]
            too_large = [{"name": "t", "output": "x" * BOUNDS["max_entry_bytes"]}]
            for flood in (many, large, too_large, many[:40]):
                await post(request_id, secret, flood)
        await post(request_id, secret, entries)


def _announced(entry: dict[str, Any]) -> dict[str, Any]:
    return {"name": entry["name"], "params": entry["params"], "running": True}
