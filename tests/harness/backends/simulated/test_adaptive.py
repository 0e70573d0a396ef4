"""The adaptive switch against speculation off and always on, on a workload whose regime changes half-way."""

from dataclasses import replace

import pytest

from harness.backends.simulated import calibrate
from harness.backends.simulated.adaptive import Change, compare, run, work_of
from harness.backends.simulated.paper import PaperParameters

CHANGE = Change(num_agents=4, tasks_per_half=24, lag_tasks=12)


@pytest.fixture(scope="module")
def parameters() -> PaperParameters:
    return PaperParameters(**calibrate.load()["parameters"])


@pytest.mark.parametrize("hit_rates", [(0.9, 0.0), (0.0, 0.9)])
def test_in_each_half_after_the_lag_adaptive_is_within_3_percent_of_the_better_of_off_and_on(
    hit_rates: tuple[float, float], parameters: PaperParameters
) -> None:
    found = compare(replace(CHANGE, hit_rates=hit_rates), parameters)
    off, on, adaptive = (found["arms"][arm] for arm in ("off", "on", "adaptive"))
    # There is something to lose in both halves: on gains where the draft is right, and costs where it is wrong.
    right, wrong = (0, 1) if hit_rates[0] else (1, 0)
    assert on["task_s"][right] < 0.95 * off["task_s"][right]
    assert on["task_s"][wrong] > 1.05 * off["task_s"][wrong]
    assert max(found["loss_pct"]) < 3.0
    assert (off["drafted_share"], on["drafted_share"]) == (None, 1.0)
    assert 0.4 < adaptive["drafted_share"] < 0.8


def test_the_same_seed_gives_the_same_numbers(parameters: PaperParameters) -> None:
    small = replace(CHANGE, num_agents=2, tasks_per_half=8, lag_tasks=2)
    assert run(small, parameters, "adaptive") == run(small, parameters, "adaptive")


def test_each_half_has_its_hit_rate(parameters: PaperParameters) -> None:
    for tasks in work_of(replace(CHANGE, hit_rates=(1.0, 0.0)), parameters):
        hits = [[turn.hit_draw < 0.5 for turn in task.turns] for task in tasks]
        assert all(map(all, hits[:24]))
        assert not any(map(any, hits[24:]))
