"""What a run's events say of the cost model's quantities: sums by task, from which they and their spread are fitted."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from harness.metrics.arm import generation_s
from harness.metrics.comparison import task_id_of
from precall.calls import ToolCall, parse_arguments
from precall.errors import MalformedCallError
from precall.events import Event, EventKind

Runs = Mapping[str, Sequence[Event]]
"""Events by run; the names of the baseline's runs begin with `base` or `off`."""

Key = tuple[str, int]
"""Task and turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainTurn:
    """A turn without speculation: seconds of its generation, and of its tools in the order of the calls; which of the
    calls policy lets run ahead."""

    generation_s: float
    tool_s: tuple[float, ...] = ()
    is_eligible: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One generation as its server showed it: seconds to the first token and per later token (None below two), input
    tokens that no prefix cache had, and how many other generations ran beside it on average."""

    ttft_s: float
    tpot_s: float | None
    num_tokens: int
    num_fresh_tokens: int | None
    num_beside: float


@dataclass(kw_only=True)
class TaskEvidence:
    """What one task shows, over all its runs. `samples`: for each confirmed call of a turn with a draft, how many
    samples answered and how many of them had the call; (1, 0) where none did, as the target was done before
    (`num_cut_off`)."""

    turns: list[PlainTurn] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    draft_s: list[float] = field(default_factory=list)
    draft_tokens: list[int] = field(default_factory=list)
    num_cut_off: int = 0
    num_matched: int = 0
    num_confirmed: int = 0
    samples: list[tuple[int, int]] = field(default_factory=list)


def evidence_of(runs: Runs, *, block_size: int | None) -> dict[str, TaskEvidence]:
    """Return the evidence by task. The target's prefix cache has blocks of `block_size` tokens, None: there is none.
    Generations and tools are those of the baseline's runs, or of all runs where there is no baseline; drafts and calls
    those of the runs that asked a draft."""
    plain = {name: events for name, events in runs.items() if is_baseline(name)} or dict(runs)
    tasks: dict[str, TaskEvidence] = {}
    _add_turns(tasks, plain.values())
    for events in plain.values():
        _add_requests(tasks, events, block_size)
    for events in runs.values():
        if any(event.kind is EventKind.DRAFT_STARTED for event in events):
            _add_drafts(tasks, events)
    return tasks


def is_baseline(run: str) -> bool:
    return run.startswith(("base", "off"))


def _add_turns(tasks: dict[str, TaskEvidence], runs: Iterable[Sequence[Event]]) -> None:
    """Add each turn of a task with its means over the runs. Where live runs ask for different calls in a turn, those of
    the first run count."""
    generated: dict[Key, list[float]] = {}
    settled: dict[Key, list[list[Event]]] = {}
    for events in runs:
        for event in events:
            if event.kind is EventKind.GENERATION_FINISHED:
                generated.setdefault(_key_of(event), []).append(generation_s(event))
                settled.setdefault(_key_of(event), []).append([])
            elif event.kind is EventKind.CALL_SETTLED:
                settled[_key_of(event)][-1].append(event)
    for key in sorted(generated):
        alike = [calls for calls in settled[key] if len(calls) == len(settled[key][0])]
        turn = PlainTurn(
            generation_s=fmean(generated[key]),
            tool_s=tuple(fmean(call.data["duration_s"] or 0.0 for call in each) for each in zip(*alike, strict=True)),
            is_eligible=tuple(call.data["is_eligible"] for call in alike[0]),
        )
        tasks.setdefault(key[0], TaskEvidence()).turns.append(turn)


def _add_requests(tasks: dict[str, TaskEvidence], events: Sequence[Event], block_size: int | None) -> None:
    """Add each request with its fresh tokens: those of the whole prompt, or, with a prefix cache, without the full
    blocks of what the turn before it had prefilled and generated (too few where the template rewrites a turn in the
    history). Caches are not shared between tasks: every task has a salt of its own."""
    finished = [event for event in events if event.kind is EventKind.GENERATION_FINISHED]
    num_beside = _num_beside(finished)
    cached: dict[str, int | None] = {}
    for event, beside in zip(finished, num_beside, strict=True):
        data, task = event.data, task_id_of(event)
        num_prompt, num_output = data["num_prompt_tokens"], data["num_output_tokens"]
        before = cached.get(task, 0) if block_size else 0
        cached[task] = None if num_prompt is None or num_output is None else num_prompt + num_output
        if data["first_token_s"] is None or num_output is None:
            continue
        ttft_s = data["first_token_s"] - data["sent_s"]
        tpot_s = (generation_s(event) - ttft_s) / (num_output - 1) if num_output > 1 else None
        request = Request(
            ttft_s=ttft_s,
            tpot_s=tpot_s,
            num_tokens=num_output,
            num_fresh_tokens=_num_fresh(num_prompt, before, block_size),
            num_beside=beside,
        )
        tasks.setdefault(task, TaskEvidence()).requests.append(request)


def _num_fresh(num_prompt: int | None, num_before: int | None, block_size: int | None) -> int | None:
    """Return the tokens of a prompt that the cache does not have; the last one is always computed."""
    if num_prompt is None or num_before is None:
        return None
    num_cached = min(num_before, num_prompt - 1)
    return num_prompt - (num_cached // block_size * block_size if block_size else 0)


def _num_beside(finished: Sequence[Event]) -> list[float]:
    """Return how many other generations ran beside each one, on average over its time."""
    changes = sorted([(e.data["sent_s"], 1) for e in finished] + [(e.data["finished_s"], -1) for e in finished])
    times_s, areas, counts = [0.0], [0.0], [0]  # the integral of the number of generations, and that number
    for time_s, change in changes:
        areas.append(areas[-1] + counts[-1] * (time_s - times_s[-1]))
        times_s.append(time_s)
        counts.append(counts[-1] + change)

    def area(time_s: float) -> float:
        place = bisect_right(times_s, time_s) - 1
        return areas[place] + counts[place] * (time_s - times_s[place])

    ends_s = [(event.data["sent_s"], event.data["finished_s"]) for event in finished]
    return [(area(end) - area(sent)) / (end - sent) - 1.0 if end > sent else 0.0 for sent, end in ends_s]


def _add_drafts(tasks: dict[str, TaskEvidence], events: Sequence[Event]) -> None:
    answers: dict[Key, list[Event]] = {}
    asked: set[Key] = set()
    for event in events:
        evidence = tasks.setdefault(task_id_of(event), TaskEvidence())
        if event.kind is EventKind.DRAFT_STARTED:
            asked.add(_key_of(event))
        elif event.kind is EventKind.DRAFT_ANSWERED:
            answers.setdefault(_key_of(event), []).append(event)
            evidence.draft_s.append(event.time_s - event.data["sent_s"])
            if event.data["num_output_tokens"] is not None:
                evidence.draft_tokens.append(event.data["num_output_tokens"])
        elif event.kind is EventKind.CALL_SETTLED:
            evidence.num_confirmed += 1
            evidence.num_matched += event.data["is_predicted"]
            if (key := _key_of(event)) in answers:
                num_with_call = sum(_has_call(answer, event) for answer in answers[key])
                evidence.samples.append((len(answers[key]), num_with_call))
            elif key in asked:
                evidence.samples.append((1, 0))
    for key in asked - answers.keys():
        tasks[key[0]].num_cut_off += 1


def _has_call(answer: Event, settled: Event) -> bool:
    """Whether a sample has the call that was settled, whose arguments are canonical."""
    name, wanted = settled.data["name"], settled.data["arguments"]
    same_name = [call["arguments"] for call in answer.data["calls"] if call["name"] == name]
    return any(_parsed(arguments) == _parsed(wanted) for arguments in same_name)


def _parsed(arguments: str) -> dict[str, Any] | str:
    try:
        return parse_arguments(ToolCall(name="", arguments=arguments))
    except MalformedCallError:
        return arguments


def _key_of(event: Event) -> Key:
    assert event.turn is not None, f"{event.kind} belongs to a turn"
    return task_id_of(event), event.turn
