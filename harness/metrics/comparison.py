"""Metrics of a cell: the baseline and the speculative arm side by side, and what the cost model predicts for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from harness.metrics.arm import generation_s
from precall.cost_model.turns import TurnTimes, turn_time_s
from precall.errors import PrecallError
from precall.events import Event, EventKind


class MeasurementError(PrecallError, RuntimeError):
    """Runs that must agree do not; what was measured compares different things."""


def trajectory_times_s(events: Sequence[Event]) -> dict[str, float]:
    """Return the seconds each trajectory took, by task id."""
    started: dict[str, float] = {}
    times: dict[str, float] = {}
    for event in events:
        if event.kind is EventKind.TRAJECTORY_STARTED:
            started[event.trajectory_id] = event.time_s
        elif event.kind is EventKind.TRAJECTORY_FINISHED:
            times[task_id_of(event)] = event.time_s - started[event.trajectory_id]
    return times


def task_id_of(event: Event) -> str:
    """Return the task of an event; a trajectory's id is its arm's run, a slash and its task."""
    return event.trajectory_id.split("/", 1)[1]


def agent_times_s(events: Sequence[Event], agents: Sequence[Sequence[str]]) -> list[float]:
    """Return the seconds each agent took for its tasks; `agents` lists the task ids of each."""
    times = trajectory_times_s(events)
    return [sum(times[task_id] for task_id in task_ids) for task_ids in agents]


def time_saved_pct(base_s: Sequence[float], spec_s: Sequence[float]) -> float:
    """Return 100 (T_base - T_spec) / T_base per agent, then the mean over agents (the paper's metric)."""
    return fmean(100.0 * (base - spec) / base for base, spec in zip(base_s, spec_s, strict=True))


def mean_per_agent(runs: Sequence[Sequence[float]]) -> list[float]:
    """Return each agent's mean over several runs."""
    return [fmean(times) for times in zip(*runs, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How many hashes were found equal in all runs (`num_identical`, of prompts, generated tokens, observations and
    final workspaces), and how many of the speculative runs' prompts there were and equal the baseline's."""

    num_identical: int
    num_prompts: int
    num_equal_prompts: int


def fingerprint(events: Sequence[Event]) -> dict[str, list[Any]]:
    """Return, per task, what the engine was given, what it generated and what the tools returned, turn by turn, as
    hashes, and at the end what the judge found: whether it is solved, and the workspace's hash.

    Raises MeasurementError when the server did not say what it was given.
    """
    prints: dict[str, list[Any]] = {}
    for event in events:
        if event.kind is EventKind.GENERATION_FINISHED:
            for what in ("prompt", "output"):
                if event.data[f"{what}_hash"] is None:
                    raise MeasurementError(
                        f"{event.trajectory_id}, turn {event.turn}: the server returned no token ids of the {what}, "
                        "without which runs cannot be compared. Replay needs a vLLM server."
                    )
                prints.setdefault(task_id_of(event), []).append((what, event.turn, event.data[f"{what}_hash"]))
        elif event.kind is EventKind.CALL_SETTLED:
            entry = ("observation", event.turn, event.data["name"], event.data["observation_hash"])
            prints.setdefault(task_id_of(event), []).append(entry)
        elif event.kind is EventKind.TRAJECTORY_GRADED:
            entry = ("grade", event.data["is_solved"], event.data["workspace_hash"])
            prints.setdefault(task_id_of(event), []).append(entry)
    return prints


def check_identical(runs: Mapping[str, Sequence[Event]], *, may_prompts_of_spec_differ: bool = False) -> Agreement:
    """Return how much was compared; all runs must agree on every prompt, generated token and observation.

    A resident sequence keeps what a chat template may rewrite when it renders the history anew; with
    `may_prompts_of_spec_differ` the prompts of runs named `spec` are counted and need not be equal.
    Raises MeasurementError, which names run, task and turn, when runs do not agree.
    """
    names = list(runs)
    reference = next(name for name in names if not may_prompts_of_spec_differ or name.startswith("base"))
    first = fingerprint(runs[reference])
    num_prompts = num_equal_prompts = 0
    for name in names:
        other, is_spec = fingerprint(runs[name]), name.startswith("spec")
        for task_id in sorted(first.keys() | other.keys()):
            ours, theirs = first.get(task_id, []), other.get(task_id, [])
            if is_spec:
                prompts = [entry for entry in theirs if entry[0] == "prompt"]
                num_prompts += len(prompts)
                num_equal_prompts += len(set(prompts).intersection(ours))
            if is_spec and may_prompts_of_spec_differ:
                ours, theirs = ([entry for entry in both if entry[0] != "prompt"] for both in (ours, theirs))
            if ours == theirs:
                continue
            differing = next((a, b) for a, b in zip([*ours, None], [*theirs, None], strict=False) if a != b)
            raise MeasurementError(
                f"Task {task_id} differs between run {reference} and run {name}: {differing[0]} against "
                f"{differing[1]}. Prompts, generated tokens, observations and final workspaces must be the same in "
                "every arm."
            )
    kinds = [entry[0] for entries in first.values() for entry in entries]
    return Agreement(
        num_identical=len(kinds) - kinds.count("prompt") * may_prompts_of_spec_differ,
        num_prompts=num_prompts,
        num_equal_prompts=num_equal_prompts,
    )


def check_drafts_answered(events: Sequence[Event]) -> None:
    """Raise MeasurementError if a draft failed. A replayed one knows its answers, so its server is at fault, and the
    hits that it cost are not the recording's."""
    for event in events:
        if event.kind is EventKind.DRAFT_FAILED:
            where = f"{event.trajectory_id}, turn {event.turn}"
            raise MeasurementError(f"The draft failed in {where}: {event.data['message']}")


def check_posts_taken(events: Sequence[Event]) -> None:
    """Raise MeasurementError if no post of a run was taken: what it measured is then client-side speculation."""
    failed = [event for event in events if event.kind is EventKind.POST_FAILED]
    if failed and not any(event.kind is EventKind.OUTPUT_POSTED for event in events):
        what = f"None of {len(failed)} posts was taken; the first: status {failed[0].data['status']}"
        raise MeasurementError(f"{what}, {failed[0].data['message']}")


def generations_s(runs: Sequence[Sequence[Event]]) -> dict[tuple[str, int], float]:
    """Return the mean E2EL of each generation over several runs, in seconds, by task and turn."""
    times: dict[tuple[str, int], list[float]] = {}
    for events in runs:
        for event in events:
            if event.kind is EventKind.GENERATION_FINISHED:
                assert event.turn is not None
                times.setdefault((task_id_of(event), event.turn), []).append(generation_s(event))
    return {key: fmean(values) for key, values in times.items()}


def predict_time_saved_pct(
    agents: Sequence[Sequence[str]],
    turns: Mapping[str, Sequence[TurnTimes]],
    loaded: Mapping[str, Sequence[TurnTimes]] | None = None,
) -> float:
    """Return the predicted time saved in percent, per agent and then the mean.

    `turns` holds, by task, each turn with its measured G and g and its tools' times. `loaded` may hold the same with G
    as measured beside speculation: the difference that it makes is the effect of the fuller batch.
    """
    base_s, spec_s = [], []
    for task_ids in agents:
        base_s.append(sum(turn_time_s(turn, speculate=False) for task_id in task_ids for turn in turns[task_id]))
        spec_s.append(
            sum(turn_time_s(turn, speculate=True) for task_id in task_ids for turn in (loaded or turns)[task_id])
        )
    return time_saved_pct(base_s, spec_s)
