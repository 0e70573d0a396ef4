"""Injected tool latency: reproducible draws with the asked moments, and what a call with latency does in time."""

import asyncio
from math import erf, exp, pi, sqrt
from statistics import fmean, stdev
from typing import Any

import pytest

from harness.latency import Latency, LatencyInjector, LatencyKind
from precall.calls import Observation, ToolCall
from precall.errors import ConfigError
from precall.events import now_s
from precall.testing.virtual_time import run_virtual
from precall.tools import Effect, Tool

NORMAL = Latency(kind=LatencyKind.NORMAL, mean_s=1.0, std_s=0.2)
PARAMETERS = {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "string"}}}
NUM_DRAWS = 20_000


async def answer(**_: Any) -> str:
    return "ok"


def tool(function: Any = answer, timeout_s: float = 30.0, name: str = "f") -> Tool:
    return Tool(
        name=name, description="", parameters=PARAMETERS, function=function, effect=Effect.PURE, timeout_s=timeout_s
    )


def call(arguments: str = '{"x": 1}', name: str = "f") -> ToolCall:
    return ToolCall(name=name, arguments=arguments)


def injector(latency: Latency = NORMAL, task_id: str = "task", seed: int = 0) -> LatencyInjector:
    return LatencyInjector(latency, task_id=task_id, seed=seed)


def run_with(latency: Latency, function: Any = answer, timeout_s: float = 30.0) -> tuple[Observation, float]:
    """Run one call and return its observation and the virtual seconds that it took."""

    async def run() -> tuple[Observation, float]:
        observation = await injector(latency)(tool(function, timeout_s), call(), 0)
        return observation, now_s()

    return run_virtual(run())


def test_the_same_call_gets_the_same_latency_from_another_injector() -> None:
    assert injector().latency_s(tool(), call(), 3) == injector().latency_s(tool(), call(), 3)


def test_equal_calls_get_the_same_latency_however_they_are_written() -> None:
    ours, theirs = call('{"x": 1, "y": "a"}'), call('{"y":"a","x":1.0}')
    assert injector().latency_s(tool(), ours, 0) == injector().latency_s(tool(), theirs, 0)


def test_seed_task_call_arguments_and_occurrence_each_change_the_draw() -> None:
    draws = [
        injector().latency_s(tool(), call(), 0),
        injector(seed=1).latency_s(tool(), call(), 0),
        injector(task_id="other").latency_s(tool(), call(), 0),
        injector().latency_s(tool(name="g"), call(name="g"), 0),
        injector().latency_s(tool(), call('{"x": 2}'), 0),
        injector().latency_s(tool(), call(), 1),
    ]
    assert len(set(draws)) == len(draws)


def test_a_constant_latency_is_the_mean() -> None:
    constant = Latency(kind=LatencyKind.CONSTANT, mean_s=0.7, std_s=0.3)
    assert {constant.draw_s(str(seed)) for seed in range(9)} == {0.7}


def test_none_is_no_latency() -> None:
    assert Latency(kind=LatencyKind.NONE, mean_s=5.0).draw_s("seed") == 0.0


@pytest.mark.parametrize("kind", LatencyKind)
def test_a_mean_of_zero_is_no_latency(kind: LatencyKind) -> None:
    assert Latency(kind=kind).draw_s("seed") == 0.0


def test_a_normal_latency_has_the_asked_mean_and_deviation() -> None:
    draws = [NORMAL.draw_s(str(seed)) for seed in range(NUM_DRAWS)]
    assert fmean(draws) == pytest.approx(1.0, abs=0.01)
    assert stdev(draws) == pytest.approx(0.2, rel=0.03)


def test_a_normal_latency_is_clipped_at_zero() -> None:
    wide = Latency(kind=LatencyKind.NORMAL, mean_s=1.0, std_s=2.0)
    draws = [wide.draw_s(str(seed)) for seed in range(NUM_DRAWS)]
    share_below = (1.0 + erf(-0.5 / sqrt(2.0))) / 2.0  # of a standard normal variable below -mean/std
    mean_of_clipped = (1.0 - share_below) + 2.0 * exp(-0.125) / sqrt(2.0 * pi)
    assert min(draws) == 0.0
    assert fmean(draw == 0.0 for draw in draws) == pytest.approx(share_below, abs=0.01)
    assert fmean(draws) == pytest.approx(mean_of_clipped, abs=0.04)


def test_a_lognormal_latency_has_the_asked_mean_and_deviation() -> None:
    lognormal = Latency(kind=LatencyKind.LOGNORMAL, mean_s=2.0, std_s=1.0)
    draws = [lognormal.draw_s(str(seed)) for seed in range(NUM_DRAWS)]
    assert min(draws) > 0.0
    assert fmean(draws) == pytest.approx(2.0, rel=0.02)
    assert stdev(draws) == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("moments", [{"mean_s": -1.0}, {"mean_s": 1.0, "std_s": -0.1}, {"mean_s": float("nan")}])
def test_a_negative_or_undefined_moment_is_refused(moments: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"latency\.(mean|std) is .*; it must be 0 or more"):
        Latency(kind=LatencyKind.NORMAL, **moments)


FIVE_S = Latency(kind=LatencyKind.CONSTANT, mean_s=5.0)


def test_a_call_takes_its_latency() -> None:
    assert run_with(FIVE_S) == (Observation(content="ok", duration_s=5.0), 5.0)


def test_a_tool_that_works_longer_than_its_latency_is_not_cut_short() -> None:
    async def work(**_: Any) -> str:
        await asyncio.sleep(8.0)
        return "late"

    assert run_with(FIVE_S, work) == (Observation(content="late", duration_s=8.0), 8.0)


def test_the_latency_covers_the_work_and_does_not_come_on_top() -> None:
    async def work(**_: Any) -> str:
        await asyncio.sleep(3.0)
        return "ok"

    assert run_with(FIVE_S, work)[1] == 5.0


def test_a_tool_that_raises_still_takes_its_latency() -> None:
    async def fail(**_: Any) -> str:
        raise ValueError("no such file")

    observation, ended_s = run_with(FIVE_S, fail)
    assert observation == Observation(content="Error: ValueError: no such file", is_error=True, duration_s=5.0)
    assert ended_s == 5.0


def test_a_time_out_covers_the_injected_latency() -> None:
    observation, ended_s = run_with(FIVE_S, timeout_s=2.0)
    assert observation == Observation(content="Error: f did not finish within 2 s.", is_error=True, duration_s=2.0)
    assert ended_s == 2.0


def test_a_time_out_while_the_tool_works_is_not_followed_by_its_latency() -> None:
    async def work(**_: Any) -> None:
        await asyncio.sleep(60.0)

    assert run_with(FIVE_S, work, timeout_s=1.0)[1] == 1.0


@pytest.mark.parametrize("work_s", [0.0, 60.0])
def test_a_cancelled_call_ends_at_once_in_its_latency_or_in_its_work(work_s: float) -> None:
    async def work(**_: Any) -> None:
        await asyncio.sleep(work_s)

    async def run() -> float:
        running = asyncio.ensure_future(injector(FIVE_S)(tool(work), call(), 0))
        await asyncio.sleep(1.0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert running.cancelled()
        return now_s()

    assert run_virtual(run()) == 1.0


def test_a_malformed_call_runs_no_tool_and_gets_no_latency() -> None:
    async def run() -> tuple[Observation, float]:
        return await injector(FIVE_S)(tool(), call("[1]"), 0), now_s()

    observation, ended_s = run_virtual(run())
    assert observation.is_error
    assert ended_s == 0.0


def test_a_plain_function_gets_its_latency_too() -> None:
    observation, _ = run_with(FIVE_S, lambda **arguments: f"x is {arguments['x']}")
    assert observation.content == "x is 1"
    assert observation.duration_s == pytest.approx(5.0)
