"""The trace export: what ui.perfetto.dev and chrome://tracing want of a file, and what a run looks like in it."""

import json
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from harness.trace import __main__ as command
from harness.trace.trace_events import trace_events
from precall.events import Event, EventKind
from tests.harness.metrics.timelines import asked, ended, event, execution_ended, generated, launched, settled, started
from tests.harness.report.records import ARGUMENTS, CELL, TASK, TOOL, base_events, run_folder, spec_events

RUNS = {"spec-1": spec_events(), "base-1": base_events()}

Trace = list[dict[str, Any]]


def slices(trace: Trace, thread: str, run: str = "spec-1") -> list[tuple[str, float, float]]:
    """Return name, start and duration in seconds of a thread's slices."""
    processes = {each["pid"]: each["args"]["name"] for each in trace if each["name"] == "process_name"}
    threads = {(each["pid"], each["tid"]): each["args"]["name"] for each in trace if each["name"] == "thread_name"}
    return [
        (each["name"], each["ts"] / 1e6, each["dur"] / 1e6)
        for each in trace
        if each["ph"] == "X"
        and processes[each["pid"]] == run
        and threads[each["pid"], each["tid"]].removeprefix(TASK) == f": {thread}"
    ]


def both_overlapping() -> Mapping[str, Sequence[Event]]:
    """Two executions at once, one of which is used."""
    return {
        "spec-1": [
            started(0.0, run="spec-1"),
            asked(0.0),
            launched(0.5),
            launched(0.5),
            generated(0.0, 2.0, run="spec-1"),
            execution_ended(2.0, "cancelled", 1.5),
            execution_ended(3.0, "used", 2.5),
            settled(3.0, run="spec-1", outcome="pending_hit"),
            ended(3.0, run="spec-1"),
        ]
    }


@pytest.mark.parametrize("runs", [RUNS, both_overlapping(), {}], ids=["two arms", "overlapping", "nothing"])
def test_every_event_has_the_keys_that_its_phase_needs(runs: Mapping[str, Sequence[Event]]) -> None:
    needed = {
        "M": {"args"},
        "X": {"dur", "args", "cat"},
        "s": {"id", "cat"},
        "f": {"id", "cat", "bp"},
    }
    for each in trace_events(runs):
        assert {"name", "ph", "ts", "pid", "tid"} <= each.keys()
        assert needed[each["ph"]] <= each.keys()
        assert each["ts"] >= 0.0 and each.get("dur", 0.0) >= 0.0
        assert isinstance(each["pid"], int) and isinstance(each["tid"], int)


@pytest.mark.parametrize("runs", [RUNS, both_overlapping()], ids=["two arms", "overlapping"])
def test_metadata_come_first_then_events_by_time_and_slices_of_a_thread_do_not_overlap(runs) -> None:
    trace = trace_events(runs)
    assert [each["ph"] == "M" for each in trace] == sorted((each["ph"] == "M" for each in trace), reverse=True)
    times = [each["ts"] for each in trace]
    assert times == sorted(times)
    for place in {(each["pid"], each["tid"]) for each in trace}:
        own = [each for each in trace if each["ph"] == "X" and (each["pid"], each["tid"]) == place]
        assert all(one["ts"] + one["dur"] <= two["ts"] for one, two in pairwise(own))


def test_processes_are_the_runs_in_their_order_on_one_clock() -> None:
    trace = trace_events(RUNS)
    names = [each["args"]["name"] for each in trace if each["name"] == "process_name"]
    assert names == ["base-1", "spec-1"]
    assert slices(trace, "target", "base-1")[0] == ("prefill", 0.0, 0.25)
    assert slices(trace, "target")[0] == ("prefill", 10.0, 0.25)


def test_a_trajectory_has_slices_for_target_draft_executions_and_calls() -> None:
    trace = trace_events(RUNS)
    assert slices(trace, "target") == [
        ("prefill", 10.0, 0.25),
        ("decode", 10.25, 0.75),
        ("prefill", 11.25, 0.125),
        ("decode", 11.375, 0.375),
    ]
    assert slices(trace, "draft") == [("draft", 10.0, 0.25)]
    assert slices(trace, "executions") == [(f"{TOOL} (used)", 10.25, 1.0), ("other (cancelled)", 11.375, 0.375)]
    assert slices(trace, "calls") == [(f"pending hit: {TOOL}", 11.0, 0.25)]
    assert slices(trace, "calls", "base-1") == [(f"miss: {TOOL}", 1.0, 1.0)]


def test_slices_say_tokens_tool_arguments_and_seconds_saved_and_wasted() -> None:
    args = {each["name"]: each["args"] for each in trace_events(RUNS) if each["ph"] == "X" and each["pid"] == 2}
    assert (args["decode"]["tokens in"], args["decode"]["tokens out"], args["decode"]["turn"]) == (100, 10, 1)
    hit = args[f"pending hit: {TOOL}"]
    assert (hit["tool"], hit["arguments"], hit["waited (s)"], hit["saved (s)"]) == (TOOL, ARGUMENTS, 0.25, 0.75)
    assert args["other (cancelled)"]["wasted (s)"] == 0.375
    assert "wasted (s)" not in args[f"{TOOL} (used)"]
    assert args["draft"]["predicted"] == [f"{TOOL}({ARGUMENTS})"]


@pytest.mark.parametrize(("runs", "num_flows"), [(RUNS, 1), (both_overlapping(), 1), ({"base-1": base_events()}, 0)])
def test_an_arrow_leads_from_an_execution_to_its_hit(runs, num_flows: int) -> None:
    trace = trace_events(runs)
    starts, ends = ([each for each in trace if each["ph"] == ph] for ph in "sf")
    assert len(starts) == len(ends) == num_flows
    for start, end in zip(starts, ends, strict=True):
        assert start["id"] == end["id"] and start["ts"] < end["ts"]
        for flow, name in ((start, "(used)"), (end, "hit: ")):
            (enclosing,) = (
                each
                for each in trace
                if each["ph"] == "X"
                and (each["pid"], each["tid"]) == (flow["pid"], flow["tid"])
                and each["ts"] <= flow["ts"] <= each["ts"] + each["dur"]
            )
            assert name in enclosing["name"]


def test_a_hit_in_an_entry_of_an_earlier_turn_has_no_arrow() -> None:
    events = [
        started(0.0, run="spec-1"),
        generated(0.0, 1.0, run="spec-1", turn=1),
        event(EventKind.EXECUTION_LAUNCHED, 0.25, run="spec-1", turn=0, name="f", arguments="{}"),
        execution_ended(0.5, "wasted", 0.25),
        settled(1.0, run="spec-1", turn=1, outcome="ready_hit", is_executed=True),
        ended(1.0, run="spec-1"),
    ]
    assert not [each for each in trace_events({"spec-1": events}) if each["ph"] in "sf"]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int | str | None:
    """Run the command and return what it exits with, None where it just ends."""
    monkeypatch.setattr(sys, "argv", ["trace", *map(str, arguments)])
    try:
        command.main()
    except SystemExit as end:
        return end.code
    return None


def test_the_command_writes_a_file_that_says_where_it_is_from(tmp_path, monkeypatch) -> None:
    folder = run_folder(tmp_path / "fig1" / CELL).path
    assert run(monkeypatch, folder, "--out", tmp_path / "trace.json") is None
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert len(trace["traceEvents"]) == len(trace_events(RUNS))
    assert trace["otherData"]["run folder"] == CELL
    assert trace["otherData"]["git_sha"] == "0123456789abcdef"


def test_a_folder_without_events_ends_the_command_with_the_remedy(tmp_path: Path, monkeypatch) -> None:
    said = run(monkeypatch, tmp_path, "--out", tmp_path / "trace.json")
    assert isinstance(said, str) and "has no events.jsonl" in said and "Name the folder of a cell" in said


def test_a_run_in_which_nothing_ended_is_no_trace(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "cell"
    folder.mkdir()
    line = {"arm": "base-1", "kind": "trajectory_started", "time_s": 1.0, "trajectory_id": "base-1/a", "turn": None}
    (folder / "events.jsonl").write_text(json.dumps({**line, "data": {}}) + "\n")
    said = run(monkeypatch, folder, "--out", tmp_path / "trace.json")
    assert isinstance(said, str) and "no trajectory that has ended" in said
