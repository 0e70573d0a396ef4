"""What the viewer is given: spans and calls of trajectories, in the figures of a timeline worked out by hand."""

import json
from pathlib import Path
from typing import Any

from harness.report.trajectories import view, view_cell
from tests.harness.report.records import ARGUMENTS, CELL, OBSERVATION, TASK, TOOL, own_results, run_folder


def spec(folder: Path) -> dict[str, Any]:
    (trajectory,) = view_cell(run_folder(folder / CELL).path)["runs"]["spec-1"]
    return trajectory


def test_a_trajectory_has_its_times_and_the_fate_of_every_execution(tmp_path: Path) -> None:
    viewed = spec(tmp_path)
    assert (viewed["task"], viewed["duration"]) == (TASK, 1.75)
    spans = [(each["lane"], each["from"], each["to"], each["state"]) for each in viewed["spans"]]
    assert ("draft", 0.0, 0.25, "") in spans
    assert ("tool", 0.25, 1.25, "used") in spans
    assert ("tool", 1.375, 1.75, "cancelled") in spans
    assert spans.count(("decode", 0.25, 1.0, "")) == 1


def test_seconds_saved_and_wasted_are_those_of_the_ledger(tmp_path: Path) -> None:
    ledger = spec(tmp_path)["ledger"]
    assert (ledger["saved_tool_s"], ledger["wasted_tool_s"]) == (0.75, 0.375)
    assert (ledger["num_pending_hits"], ledger["num_launched"], ledger["num_cancelled"]) == (1, 2, 1)


def test_a_call_says_its_arguments_its_outcome_and_the_beginning_of_its_observation(tmp_path: Path) -> None:
    call, _ = spec(tmp_path)["marks"]
    about = call["about"]
    assert (call["what"], call["at"], call["turn"]) == ("pending_hit", 1.25, 0)
    assert (about["tool"], about["arguments"], about["saved (s)"]) == (TOOL, ARGUMENTS, 0.75)
    beginning, _, rest = about["observation"].partition("... (")
    assert beginning == OBSERVATION[:400]
    assert rest.startswith(f"{len(OBSERVATION) - 400} more characters")


def test_posts_to_the_engine_are_marks_of_no_turn(tmp_path: Path) -> None:
    _, post = spec(tmp_path)["marks"]
    assert post == {"at": 1.25, "what": "posted", "turn": None, "about": {}}


def test_an_arm_whose_trajectories_were_not_kept_has_no_observations(tmp_path: Path) -> None:
    (trajectory,) = view_cell(run_folder(tmp_path / CELL).path)["runs"]["base-1"]
    assert "observation" not in trajectory["marks"][0]["about"]


def test_a_cell_that_failed_says_so(tmp_path: Path) -> None:
    viewed = view_cell(run_folder(tmp_path / CELL, status="failed").path)
    assert viewed["status"] == "failed" and viewed["error"].startswith("it failed")


def test_of_what_does_not_fit_the_first_blocks_of_all_experiments_stay_and_the_rest_is_counted(tmp_path: Path) -> None:
    for experiment in ("a", "b"):
        for block in range(3):
            run_folder(tmp_path / "runs" / "local" / experiment / CELL.replace("b0", f"b{block}"))
    size = (tmp_path / "runs" / "local" / "a" / CELL / "events.jsonl").stat().st_size
    found = view(tmp_path, max_event_bytes=3 * size)
    shown = {folder: [cell["cell"] for cell in cells] for folder, cells in found.cells.items()}
    assert shown == {"runs/local/a": [CELL, CELL.replace("b0", "b1")], "runs/local/b": [CELL]}
    assert found.num_left_out == {"runs/local/a": 1, "runs/local/b": 2}


def test_own_run_folders_have_their_place_before_published_ones(tmp_path: Path) -> None:
    for place in ("published", "runs"):
        run_folder(tmp_path / place / "local" / "a" / CELL)
    size = (tmp_path / "runs" / "local" / "a" / CELL / "events.jsonl").stat().st_size
    assert view(tmp_path).cells.keys() == {"runs/local/a", "published/local/a"}
    found = view(tmp_path, max_event_bytes=size)
    assert found.cells.keys() == {"runs/local/a"} and found.num_left_out == {"published/local/a": 1}


def test_a_broken_record_is_named_and_costs_no_other_its_place(tmp_path: Path) -> None:
    results = own_results(tmp_path)
    broken = results / "runs" / "local" / "fig1" / CELL.replace("b0", "b1")
    run_folder(broken)
    (broken / "events.jsonl").write_text("{not json\n")
    found = view(results)
    assert [name for name, _ in found.unreadable] == [f"runs/local/fig1/{broken.name}"]
    assert found.runs == {f"runs/local/fig1/{CELL}"}


def test_a_record_of_before_a_field_was_kept_is_named_too(tmp_path: Path) -> None:
    results = own_results(tmp_path)
    file = results / "runs" / "local" / "fig1" / CELL / "events.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        line["data"].pop("is_predicted", None)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = view(results)
    assert not found.cells and "is_predicted" in found.unreadable[0][1]
