"""The trajectories of run folders as the viewer reads them: spans in rows, marks, and what each says.

All times are seconds since a trajectory's start. What does not fit on the page is counted, by folder.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.metrics.timeline import Lane, Settlement, Span, Timeline, rows_of, timelines_of
from harness.records import RunFolder
from harness.replay.trajectories import read_trajectories
from harness.report.links import is_published, run_folders
from harness.trace.details import settlement_details, span_details
from precall.calls import canonical_key
from precall.errors import PrecallError
from precall.events import Event
from precall.ledger import Ledger

MAX_EVENT_BYTES = 64 * 2**20
"""Of all files of events together; on the page they take about a tenth."""
MAX_OBSERVATION_CHARS = 400
LEDGER = (
    "num_turns",
    "num_prompt_tokens",
    "num_output_tokens",
    "num_confirmed",
    "num_ready_hits",
    "num_pending_hits",
    "num_misses",
    "num_launched",
    "num_used",
    "num_wasted",
    "num_cancelled",
    "num_failed",
    "num_refused",
    "saved_tool_s",
    "wasted_tool_s",
)
_BLOCK = re.compile(r"-b(\d+)-[0-9a-f]+$")

Observations = dict[tuple[str, int, str, str], list[str]]
"""By task, turn and key of the call, in the order of the calls."""


@dataclass(kw_only=True)
class Viewed:
    """What the viewer has: `cells` by the experiment's folder from results/ on. Of the rest, `num_left_out` counts the
    run folders for which there was no room, and `unreadable` says which could not be read, and why."""

    cells: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    num_left_out: dict[str, int] = field(default_factory=dict)
    unreadable: list[tuple[str, str]] = field(default_factory=list)

    @property
    def runs(self) -> set[str]:
        """The run folders that are there, from results/ on."""
        return {f"{folder}/{cell['cell']}" for folder, cells in self.cells.items() for cell in cells}


def view(results: Path, max_event_bytes: int = MAX_EVENT_BYTES) -> Viewed:
    """Return the trajectories of the run folders in `results`, as long as their events fit: of all experiments the
    first blocks, then the next; own ones before published ones."""
    found = Viewed()
    num_bytes = 0
    folders = run_folders(results, "events.jsonl")
    for folder in sorted(folders, key=lambda folder: (is_published(folder, results), _block(folder), folder)):
        experiment = folder.parent.relative_to(results).as_posix()
        num_bytes += (folder / "events.jsonl").stat().st_size
        if num_bytes > max_event_bytes:
            found.num_left_out[experiment] = found.num_left_out.get(experiment, 0) + 1
            continue
        try:
            cell = view_cell(folder)
        except (PrecallError, ValueError, LookupError, TypeError, AssertionError, OSError) as error:
            # An edge: one record that is broken, or older than this reader, must not cost the others their report.
            found.unreadable.append((f"{experiment}/{folder.name}", f"{type(error).__name__}: {error}"))
            continue
        if cell["runs"]:
            found.cells.setdefault(experiment, []).append(cell)
    return found


def view_cell(folder: Path) -> dict[str, Any]:
    """Return a run folder: its files, and by run its trajectories that have ended, in the order of their start."""
    runs = {}
    for run, events in RunFolder(folder).read_events().items():
        by_trajectory: dict[str, list[Event]] = {}
        for event in events:
            by_trajectory.setdefault(event.trajectory_id, []).append(event)
        observations = _observations(folder / f"trajectories-{run}.jsonl")
        timelines = sorted(timelines_of(events).items(), key=lambda item: item[1].start_s)
        viewed = [_trajectory(name, timeline, by_trajectory[name], observations) for name, timeline in timelines]
        if viewed:
            runs[run] = viewed
    manifest = RunFolder(folder).manifest or {"status": "unfinished", "error": None}
    return {
        "cell": folder.name,
        "status": manifest["status"],
        "error": manifest["error"],
        "files": sorted(file.name for file in folder.iterdir() if file.is_file()),
        "runs": runs,
    }


def _block(folder: Path) -> int:
    """Return the number of a cell's block; calibrations, which have none, come before all."""
    block = _BLOCK.search(folder.name)
    return int(block[1]) if block else -1


def _trajectory(name: str, timeline: Timeline, events: Sequence[Event], observations: Observations) -> dict[str, Any]:
    task = name.partition("/")[2]
    ledger = Ledger.from_events(events)
    spans = [row for lane in Lane for row in _spans(lane, timeline.spans, events)]
    marks = [_mark(call, task, events, observations) for call in timeline.settlements]
    marks += [{"at": _round(at_s), "what": "posted", "turn": None, "about": {}} for at_s in timeline.posts_s]
    return {
        "task": task,
        "duration": _round(timeline.duration_s),
        "ledger": {key: _rounded(getattr(ledger, key)) for key in LEDGER},
        "spans": spans,
        "marks": marks,
    }


def _spans(lane: Lane, spans: Iterable[Span], events: Sequence[Event]) -> list[dict[str, Any]]:
    of_lane = [span for span in spans if span.lane is lane]
    return [
        {
            "lane": lane.value,
            "from": _round(span.start_s),
            "to": _round(span.end_s),
            "turn": span.turn,
            "state": span.state,
            "row": row,
            "rows": num_rows,
            "about": span_details(span, events),
        }
        for span, (row, num_rows) in zip(of_lane, rows_of(of_lane), strict=True)
    ]


def _mark(call: Settlement, task: str, events: Sequence[Event], observations: Observations) -> dict[str, Any]:
    about = settlement_details(call, events)
    found = observations.get((task, call.turn, about["tool"], about["arguments"]))
    if found:
        about["observation"] = _excerpt(found.pop(0))
    return {"at": _round(call.time_s), "what": call.outcome, "turn": call.turn, "about": about}


def _observations(file: Path) -> Observations:
    if not file.is_file():
        return {}
    found: Observations = {}
    for trajectory in read_trajectories(file).trajectories:
        for number, turn in enumerate(trajectory.turns):
            for call, observation in zip(turn.calls, turn.observations or (), strict=False):
                key = canonical_key(call)
                found.setdefault((trajectory.task_id, number, key.name, key.arguments), []).append(observation.content)
    return found


def _excerpt(text: str) -> str:
    left = len(text) - MAX_OBSERVATION_CHARS
    return text if left <= 0 else f"{text[:MAX_OBSERVATION_CHARS]}... ({left} more characters in the record)"


def _round(seconds: float) -> float:
    return round(seconds, 6)


def _rounded(value: Any) -> Any:
    return _round(value) if isinstance(value, float) else value
