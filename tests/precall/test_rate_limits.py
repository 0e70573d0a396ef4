"""Requests wait on this side until the endpoint's limits have room for them; on virtual time."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precall.errors import ConfigError
from precall.events import now_s
from precall.rate_limits import RateLimiter, RateLimits
from precall.testing.virtual_time import run_virtual


def admitted_s(limits: RateLimits, requests: list[tuple[float, int]]) -> list[float]:
    """Return when each request, asked for at a time with its tokens, is let through."""

    async def ask(limiter, asked_s, num_tokens):
        await asyncio.sleep(asked_s)
        return (await limiter.admit(num_tokens)).time_s

    async def main():
        limiter = RateLimiter(limits)
        return await asyncio.gather(*(ask(limiter, *request) for request in requests))

    return run_virtual(main())


def test_the_requests_of_a_minute_are_let_through_at_once_and_the_next_when_the_first_is_a_minute_old():
    limits = RateLimits(requests_per_minute=2)
    assert admitted_s(limits, [(0.0, 1), (10.0, 1), (20.0, 1), (21.0, 1)]) == [0.0, 10.0, 60.0, 70.0]


def test_tokens_are_limited_likewise():
    limits = RateLimits(tokens_per_minute=100)
    assert admitted_s(limits, [(0.0, 40), (1.0, 50), (2.0, 20), (3.0, 60)]) == [0.0, 1.0, 60.0, 61.0]


def test_both_limits_hold_at_once():
    limits = RateLimits(requests_per_minute=3, tokens_per_minute=100)
    assert admitted_s(limits, [(0.0, 10), (1.0, 90), (2.0, 1), (3.0, 1)]) == [0.0, 1.0, 60.0, 60.0]


def test_a_request_above_the_limit_goes_alone():
    assert admitted_s(RateLimits(tokens_per_minute=100), [(0.0, 500), (1.0, 10)]) == [0.0, 60.0]


def test_what_a_request_really_took_counts_for_those_that_follow():
    async def main():
        limiter = RateLimiter(RateLimits(tokens_per_minute=100))
        admission = await limiter.admit(90)
        admission.num_tokens = 20
        await limiter.admit(80)
        return now_s()

    assert run_virtual(main()) == 0.0


def test_one_that_gives_up_waiting_lets_the_next_through():
    async def main():
        limiter = RateLimiter(RateLimits(requests_per_minute=1))
        await limiter.admit(1)
        waiting = asyncio.create_task(limiter.admit(1))
        behind = asyncio.create_task(limiter.admit(1))
        await asyncio.sleep(30.0)
        waiting.cancel()
        return (await behind).time_s

    assert run_virtual(main()) == 60.0


@given(
    asked=st.lists(st.tuples(st.floats(0.0, 300.0), st.integers(1, 60)), max_size=25),
    num_requests=st.integers(1, 4),
    num_tokens=st.integers(60, 120),
)
def test_no_minute_holds_more_than_the_limits(asked, num_requests, num_tokens):
    asked.sort()
    limits = RateLimits(requests_per_minute=num_requests, tokens_per_minute=num_tokens)
    times_s = admitted_s(limits, asked)
    assert times_s == sorted(times_s)
    for start_s in times_s:
        minute = [tokens for time_s, (_, tokens) in zip(times_s, asked, strict=True) if 0 <= time_s - start_s < 59.999]
        assert len(minute) <= num_requests
        assert sum(minute) <= num_tokens


@pytest.mark.parametrize("name", ["requests_per_minute", "tokens_per_minute"])
def test_a_limit_below_one_is_refused_and_named(name):
    with pytest.raises(ConfigError, match=f"{name} is 0; it must be at least 1"):
        RateLimits(**{name: 0})
