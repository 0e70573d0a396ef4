"""The ceiling of a comparison, by hand."""

import pytest

from harness.metrics.ceiling import ceiling_time_saved_pct
from tests.harness.metrics.timelines import ended, generated, settled, started


def trajectory(run, *, G, T, is_eligible=True, task="a"):
    """One turn with a call that takes T, and an answer that takes 1 s."""
    return [
        started(0.0, task, run),
        generated(0.0, G, run=run, task=task),
        settled(G + T, run=run, task=task, duration_s=T, is_eligible=is_eligible),
        generated(G + T, G + T + 1.0, run=run, task=task, turn=1, num_calls=0),
        ended(G + T + 1.0, task, run),
    ]


def test_an_oracle_hides_the_shorter_of_generation_and_tool():
    # 2 + 1 + 1 = 4 s without, max(2, 1) + 1 = 3 s with the oracle; speculation's own runs do not count.
    runs = {"base-1": trajectory("base-1", G=2.0, T=1.0), "spec-1": trajectory("spec-1", G=9.0, T=1.0)}
    assert ceiling_time_saved_pct(runs, [["a"]]) == pytest.approx(25.0)
    # 1 + 2 + 1 = 4 s without, max(1, 2) + 1 = 3 s with it.
    assert ceiling_time_saved_pct({"base-1": trajectory("base-1", G=1.0, T=2.0)}, [["a"]]) == pytest.approx(25.0)


def test_the_mean_is_over_agents_and_a_turns_times_are_those_of_all_baseline_runs():
    runs = {
        f"base-{run}": [
            *trajectory(f"base-{run}", G=G, T=1.0),
            *trajectory(f"base-{run}", G=1.0, T=0.0, task="b"),
        ]
        for run, G in ((1, 1.5), (2, 2.5))
    }
    assert ceiling_time_saved_pct(runs, [["a"], ["b"]]) == pytest.approx(25.0 / 2)


def test_a_call_that_policy_holds_back_saves_nothing():
    assert ceiling_time_saved_pct({"base-1": trajectory("base-1", G=2.0, T=1.0, is_eligible=False)}, [["a"]]) == 0.0
