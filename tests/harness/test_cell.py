"""A cell: the order of its runs, and a recorded trajectory as the cost model sees it."""

import json
from pathlib import Path
from typing import Any

import pytest

from agents.task import Task
from agents.trajectory import Grade
from harness.cell import _matches, _turn_times, _write_graded, arm_order
from harness.latency import Latency, LatencyKind
from harness.replay.trajectories import RecordedTrajectory, RecordedTurn
from harness.schema import Speculation
from precall.calls import ToolCall
from precall.cost_model.turns import TurnTimes
from precall.tools import Effect, Tool
from tests.agents.trajectories import ended
from tests.harness.configs import config_of

ONE_S = Latency(kind=LatencyKind.CONSTANT, mean_s=1.0)


def test_even_blocks_run_abba_and_odd_ones_baab() -> None:
    off, client = Speculation.off, Speculation.client
    assert arm_order(0, client) == [("base-1", off), ("spec-1", client), ("spec-2", client), ("base-2", off)]
    assert arm_order(1, client) == [("spec-1", client), ("base-1", off), ("base-2", off), ("spec-2", client)]
    assert arm_order(2, client) == arm_order(0, client)


def test_the_baseline_against_itself_keeps_the_names_of_both_arms() -> None:
    names = [name for name, _ in arm_order(0, Speculation.off)]
    assert names == ["base-1", "spec-1", "spec-2", "base-2"]
    assert {mode for _, mode in arm_order(0, Speculation.off)} == {Speculation.off}


def tool(name: str, effect: Effect) -> Tool:
    parameters = {"type": "object", "properties": {"x": {"type": "number"}}}
    return Tool(name=name, description="", parameters=parameters, function=print, effect=effect)


TOOLS = (tool("get", Effect.READ), tool("put", Effect.WRITE), tool("add", Effect.PURE))
TASK = Task(task_id="t", user_turns=(), make_tools=lambda: TOOLS)


def call(name: str, arguments: str = '{"x": 1}') -> ToolCall:
    return ToolCall(name=name, arguments=arguments)


def trajectory(*turns: tuple[tuple[ToolCall, ...], tuple[tuple[ToolCall, ...], ...]]) -> RecordedTrajectory:
    """A trajectory of these turns, each its calls and its draft's samples."""
    recorded = [
        RecordedTurn(user_turn=0, reasoning="", content="", calls=calls, draft_samples=samples)
        for calls, samples in turns
    ]
    return RecordedTrajectory(task_id="t", turns=tuple(recorded))


def times_of(recorded: RecordedTrajectory, *sample_s: list[float], G_s: float = 2.0) -> list[TurnTimes]:
    generation_s: Any = {("t", index): G_s for index in range(len(recorded.turns))}
    return _turn_times(config_of(), TASK, recorded, ONE_S, sample_s, generation_s)


def one(calls: tuple[ToolCall, ...], samples: tuple[tuple[ToolCall, ...], ...], *sample_s: float) -> TurnTimes:
    (times,) = times_of(trajectory((calls, samples)), list(sample_s))
    return times


def test_a_predicted_reader_is_a_hit_from_the_time_of_its_sample() -> None:
    times = one((call("get"),), ((call("get", '{"x":1.0}'),),), 0.5)
    assert times == TurnTimes(G=2.0, g=0.5, tool_s=(1.0,), is_hit=(True,))


def test_g_is_the_time_of_the_first_sample_that_has_the_call() -> None:
    wrong, right = (call("add"),), (call("get"),)
    assert one((call("get"),), (wrong, right, right), 0.1, 0.7, 0.4).g == 0.4


def test_with_several_hits_g_is_that_of_the_last_to_be_known() -> None:
    calls = (call("get"), call("add"))
    assert one(calls, ((call("get"),), (call("add"),)), 0.3, 0.9).g == 0.9


@pytest.mark.parametrize(
    "samples",
    [((),), ((call("get", '{"x": 2}'),),), ((call("gone"),),), ((call("get", "[1"),),)],
    ids=["no call", "other argument", "unknown tool", "malformed"],
)
def test_any_other_prediction_is_a_miss(samples: tuple[tuple[ToolCall, ...], ...]) -> None:
    assert one((call("get"),), samples, 0.5) == TurnTimes(G=2.0, g=0.0, tool_s=(1.0,), is_hit=(False,))


def test_a_predicted_writer_is_not_launched() -> None:
    assert one((call("put"),), ((call("put"),),), 0.5).is_hit == (False,)


def test_after_a_confirmed_write_a_predicted_reader_is_dropped_and_a_pure_tool_is_not() -> None:
    calls = (call("get"), call("put"), call("get", '{"x": 2}'), call("add"))
    samples = ((call("get"), call("get", '{"x": 2}'), call("add")),)
    assert one(calls, samples, 0.5).is_hit == (True, False, False, True)


def test_repeated_calls_draw_latencies_of_their_own() -> None:
    normal = Latency(kind=LatencyKind.NORMAL, mean_s=1.0, std_s=0.2)
    recorded = trajectory(((call("get"),), ((),)), ((call("get"),), ((),)))
    first, second = _turn_times(config_of(), TASK, recorded, normal, [[0.1], [0.1]], {("t", 0): 2.0, ("t", 1): 2.0})
    assert first.tool_s != second.tool_s


def test_a_final_answer_has_no_tools() -> None:
    assert one((), ((),), 0.5) == TurnTimes(G=2.0, g=0.0)


@pytest.mark.parametrize("bad", [call("gone"), call("get", "[1]")], ids=["unknown tool", "malformed"])
def test_a_recorded_call_that_no_tool_can_run_takes_no_time_and_matches_nothing(bad: ToolCall) -> None:
    recorded = trajectory(((bad, call("get")), ((bad, call("get")),)))
    (times,) = times_of(recorded, [0.5])
    assert times == TurnTimes(G=2.0, g=0.5, tool_s=(0.0, 1.0), is_hit=(False, True))
    assert _matches(TASK, recorded) == [False, True]


def test_a_match_is_one_whatever_the_policy_says_of_it() -> None:
    recorded = trajectory(((call("put"), call("add")), ((call("put"),), ())))
    assert _matches(TASK, recorded) == [True, False]


def test_graded_trajectories_are_kept_for_the_inspector_and_patches_for_swe_benchs_judge(tmp_path: Path) -> None:
    patched = Grade(is_solved=True, details={"model_patch": "diff"})
    _write_graded(
        tmp_path, "spec-1", [ended("a", grade=patched), ended("b"), ended("c", grade=Grade(is_solved=False))], "m"
    )
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.json*"))
    assert written == ["predictions-spec-1.jsonl", *(f"trajectories-spec-1/{name}.traj.json" for name in "ac")]
    assert [json.loads(line)["instance_id"] for line in (tmp_path / written[0]).read_text().splitlines()] == ["a"]
    assert json.loads((tmp_path / written[1]).read_text())["info"]["submission"] == "diff"
    _write_graded(tmp_path / "none", "spec-1", [ended("b")], "m")
    assert not (tmp_path / "none").exists()
