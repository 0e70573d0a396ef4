"""The ratio of waits, and the rate at which bystanders come."""

import asyncio

import pytest

from harness.engine_checks.bystanders import RATE_PER_S, Wait, quantile_ratio, send_steadily
from harness.engine_checks.site import Streamed
from precall.errors import BackendError
from precall.testing.virtual_time import run_virtual


def waits(*ttfts_s, segment=0, spacing_s=10.0):
    return [
        Wait(segment=segment, at_s=index * spacing_s, ttft_s=ttft_s, e2el_s=2 * ttft_s)
        for index, ttft_s in enumerate(ttfts_s)
    ]


def test_the_ratio_is_that_of_the_quantiles_of_all_waits():
    ratio = quantile_ratio(waits(3.0, 6.0, 9.0), waits(1.0, 2.0, 3.0), "ttft_s", probability=0.5)
    assert ratio.mid == 3.0 and ratio.low <= 3.0 <= ratio.high
    assert quantile_ratio(waits(2.0, 2.0), waits(1.0, 1.0), "e2el_s").low == 2.0


def test_the_interval_comes_from_stretches_of_time_not_from_requests():
    """All of one stretch are slow: 100 requests that share a queue tell as little as one."""
    calm = waits(*[1.0] * 50, spacing_s=0.1)
    slow = [Wait(segment=1, at_s=wait.at_s, ttft_s=9.0, e2el_s=9.0) for wait in calm]
    ratio = quantile_ratio([*calm, *slow], waits(1.0, 1.0), "ttft_s")
    assert (ratio.low, ratio.high) == (1.0, 9.0)


def test_an_arm_without_waits_has_no_ratio():
    assert quantile_ratio([], waits(1.0), "ttft_s") is None
    assert quantile_ratio(waits(1.0), [], "ttft_s") is None


class SlowSite:
    """Answers after 5 s; `status` of all answers."""

    def __init__(self, status=200):
        self.status = status
        self.sent_s = []

    async def stream(self, route, body, headers=None):
        self.sent_s.append(asyncio.get_running_loop().time())
        await asyncio.sleep(5.0)
        return Streamed(status=self.status, ttft_s=4.0, e2el_s=5.0)


def test_bystanders_come_at_a_steady_rate_however_slow_the_answers_are():
    site, found, tasks = SlowSite(), [], []

    async def main():
        await send_steadily(site, 4.0, 0, found, tasks)
        await asyncio.gather(*tasks)

    run_virtual(main())
    assert len(site.sent_s) == len(found) == 4 * RATE_PER_S
    gaps = [round(after - before, 6) for before, after in zip(site.sent_s, site.sent_s[1:], strict=False)]
    assert set(gaps) == {round(1 / RATE_PER_S, 6)}
    assert found[1].at_s == pytest.approx(1 / RATE_PER_S)


def test_a_bystander_that_is_refused_ends_the_run():
    async def main():
        tasks = []
        await send_steadily(SlowSite(503), 1.0, 0, [], tasks)
        await asyncio.gather(*tasks)

    with pytest.raises(BackendError, match="status 503"):
        run_virtual(main())
