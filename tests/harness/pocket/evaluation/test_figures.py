"""The figures, worked out by hand."""

import pytest

from agents.trajectory import Status
from harness.pocket.evaluation.figures import acceptance, accuracy, solved, times
from harness.pocket.evaluation.timing import Mode, Timing
from tests.harness.pocket.evaluation.turns import (
    FORECAST,
    OSLO,
    ROME,
    answering,
    calling,
    drafted,
    live,
    score,
    task_of,
)


def test_calls_and_answers_are_shares_of_their_own_turns():
    found = accuracy(
        [
            score("a"),
            score("a", is_call_due=False),
            score("b", "wrong_tool"),
            score("b", "wrong_argument"),
            score("b", "needless_call", is_call_due=False),
            score("c"),
            score("c", "wrong_answer", is_call_due=False),
            score("d", is_call_due=False, kind="none"),
        ]
    )
    assert found["call_exact_match"][1] == 2 / 4
    assert found["answer_exact_match"][1] == 2 / 4
    assert found["no_call_match"][1] == 3 / 4
    assert found["num_tasks"] == 4
    assert found["faults"] == {"wrong_tool": 1, "wrong_argument": 1, "needless_call": 1, "wrong_answer": 1}


def test_shares_stand_by_kind_and_a_kind_without_calls_has_no_share_of_them():
    found = accuracy([score("a"), score("b", "no_call", kind="cued"), score("c", is_call_due=False, kind="none")])
    assert list(found["by_kind"]) == ["single", "cued", "none"]
    assert [row["call_exact_match"][1] for row in found["by_kind"].values()] == [1.0, 0.0, None]


def test_the_interval_of_a_share_resamples_tasks():
    # Every turn of a task is right or every one is wrong, so 20 turns tell no more than 2 tasks do.
    found = accuracy([score("a")] * 10 + [score("b", "wrong_tool")] * 10)
    assert found["call_exact_match"] == [0.0, 0.5, 1.0]


def test_solved_tasks_are_a_share_of_all_and_failures_are_counted():
    task = task_of(calling(OSLO), answering("It is sunny."), kind="cued")
    found = solved(
        [live([OSLO], "It is sunny."), live("No.", task=task), live([OSLO], task=task, status=Status.FAILED)]
    )
    assert found["solved"][1] == pytest.approx(1 / 3)
    assert {kind: interval[1] for kind, interval in found["solved_by_kind"].items()} == {"single": 1.0, "cued": 0.0}
    assert (found["num_failed"], found["first_failure"]) == (1, "the server said no")


def test_call_acceptance_counts_all_calls_of_all_turns_by_the_first_samples():
    found = acceptance(
        [
            drafted(OSLO, greedy=[OSLO], sampled=[[ROME], [OSLO]], task_id="a"),
            drafted(
                OSLO, ROME, greedy=[ROME], sampled=[[FORECAST], [], [], [], [], [], [ROME]], task_id="b", kind="cued"
            ),
        ]
    )
    rates = {num: interval[1] for num, interval in found["call_acceptance_rate"].items()}
    third = pytest.approx(1 / 3)
    assert rates == {"1": pytest.approx(2 / 3), "3": third, "5": third, "7": pytest.approx(2 / 3), "9": rates["7"]}
    assert found["call_acceptance_rate_sampled_once"][1] == 0.0
    assert found["num_calls"] == 3
    by_kind = {kind: interval[1] for kind, interval in found["call_acceptance_rate_by_kind"].items()}
    assert by_kind == {"single": 1.0, "cued": 0.5}


def timing(
    num_samples: int, *, G_s: float | None = None, g_s: float | None = None, task_id: str = "a", turn: int = 0,
    repeat: int = 0, num_agents: int = 1,
) -> Timing:  # fmt: skip
    mode = Mode(has_target=G_s is not None, num_samples=num_samples)
    return Timing(
        task_id=task_id, turn=turn, mode=mode, num_agents=num_agents, repeat=repeat, G_s=G_s, g_s=g_s
    )  # fmt: skip


def test_a_ratio_is_taken_turn_by_turn_within_its_way_of_asking():
    found = times(
        [
            timing(0, G_s=1.0),
            timing(0, G_s=3.0, repeat=1),
            timing(0, G_s=10.0, task_id="b"),
            timing(1, g_s=0.4),
            timing(1, g_s=0.6, repeat=1),
            timing(1, g_s=1.0, task_id="b"),
            timing(1, G_s=4.0, g_s=3.0),
            timing(1, G_s=8.0, g_s=2.0, task_id="b"),
        ]
    )
    # Alone: 0.5 / 2 and 1 / 10; colocated: 3 / 4 and 2 / 8.
    assert found["g_over_G"]["1"]["alone"]["1"] == [0.1, pytest.approx(0.175), 0.25]
    assert found["g_over_G"]["1"]["colocated"]["1"] == [0.25, 0.5, 0.75]
    assert found["g_s"]["1"]["alone"]["1"][1] == 0.75
    assert found["G_s"]["1"]["alone"][1] == 6.0
    assert found["G_s"]["1"]["colocated"]["1"][1] == 6.0
    assert found["g_over_G"]["1"]["alone"]["3"] == [None, None, None]


def test_numbers_of_agents_are_kept_apart():
    found = times(
        [timing(0, G_s=1.0), timing(1, g_s=0.5), timing(0, G_s=4.0, num_agents=8), timing(1, g_s=1.0, num_agents=8)]
    )
    assert [found["g_over_G"][num]["alone"]["1"][1] for num in ("1", "8")] == [0.5, 0.25]
