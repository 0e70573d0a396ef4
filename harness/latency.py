"""Injected tool latency: every tool call takes a drawn time, the same for the same call in every arm."""

import asyncio
import hashlib
import random
from dataclasses import dataclass, replace
from enum import StrEnum
from math import log, sqrt
from typing import Any

from precall.calls import Observation, ToolCall, canonical_key
from precall.errors import ConfigError, MalformedCallError
from precall.events import now_s
from precall.tools import Tool, call_function, run_tool


class LatencyKind(StrEnum):
    NONE = "none"
    CONSTANT = "constant"
    NORMAL = "normal"  # clipped at 0
    LOGNORMAL = "lognormal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """A distribution of tool latencies, in seconds. `mean_s` and `std_s` are those of the distribution itself, before a
    normal one is clipped at 0."""

    kind: LatencyKind
    mean_s: float = 0.0
    std_s: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("mean", self.mean_s), ("std", self.std_s)):
            if not 0.0 <= value < float("inf"):
                raise ConfigError(f"latency.{name} is {value} s; it must be 0 or more. latency=none injects nothing.")

    def draw_s(self, seed: str) -> float:
        """Return one latency in seconds; the same seed gives the same one."""
        if self.kind is LatencyKind.NONE:
            return 0.0
        if self.kind is LatencyKind.CONSTANT or self.mean_s == 0.0:
            return self.mean_s
        generator = random.Random(hashlib.sha256(seed.encode()).digest())
        if self.kind is LatencyKind.NORMAL:
            return max(0.0, generator.gauss(self.mean_s, self.std_s))
        variance = log(1.0 + (self.std_s / self.mean_s) ** 2)
        return generator.lognormvariate(log(self.mean_s) - variance / 2.0, sqrt(variance))


class LatencyInjector:
    """A tool executor for one trajectory that makes each call of a tool last a drawn time.

    The time depends on the experiment's seed, the task, the call and its occurrence, not on the arm or on who asks. A
    tool whose own work takes longer is not cut short; its time-out covers both.
    """

    def __init__(self, latency: Latency, *, task_id: str, seed: int) -> None:
        self._latency = latency
        self._prefix = f"{seed}/{task_id}"

    def latency_s(self, tool: Tool, call: ToolCall, occurrence: int) -> float:
        """Return the latency that this call gets, in seconds; a malformed call gets none, since no tool runs."""
        try:
            key = canonical_key(call, tool.parameters)
        except MalformedCallError:
            return 0.0
        return self._latency.draw_s(f"{self._prefix}/{key.name}/{key.arguments}/{occurrence}")

    async def __call__(self, tool: Tool, call: ToolCall, occurrence: int) -> Observation:
        latency_s = self.latency_s(tool, call, occurrence)

        async def delayed(**arguments: Any) -> Any:
            # A server's answer is ready before it arrives: the tool works first, then the answer, or its error,
            # travels.
            started_s = now_s()
            try:
                return await call_function(tool, arguments)
            finally:
                task = asyncio.current_task()
                if task is None or not task.cancelling():
                    await asyncio.sleep(max(0.0, latency_s - (now_s() - started_s)))

        return await run_tool(replace(tool, function=delayed), call, occurrence)
