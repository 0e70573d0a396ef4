"""From scores and times to the figures of `make pocket-eval`. Intervals are [low, mid, high], by task."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any, TypeVar, get_args

from harness.metrics.statistics import Interval, median_interval, share_interval
from harness.pocket.evaluation.asking import NUM_SAMPLES, LiveTask
from harness.pocket.evaluation.scoring import DraftedTurn, TurnScore
from harness.pocket.evaluation.timing import Timing
from harness.pocket.world import Kind

Figures = dict[str, Any]
Scored = TypeVar("Scored", TurnScore, DraftedTurn)


def accuracy(scores: Sequence[TurnScore]) -> Figures:
    """Return what a model got right with the right history given, of all tasks and by kind, and its faults."""
    found = _rates(scores)
    found["num_tasks"] = len({score.task_id for score in scores})
    found["faults"] = dict(Counter(score.fault for score in scores if score.fault is not None).most_common())
    found["by_kind"] = _by_kind(scores, _rates)
    return found


def _rates(scores: Sequence[TurnScore]) -> Figures:
    due = [score for score in scores if score.is_call_due]
    others = [score for score in scores if not score.is_call_due]
    return {
        "call_exact_match": _share(due, lambda score: [score.fault is None]),
        "no_call_match": _share(others, lambda score: [score.fault != "needless_call"]),
        "answer_exact_match": _share(others, lambda score: [score.fault is None]),
    }


def solved(live: Sequence[LiveTask]) -> Figures:
    """Return the share of tasks that the target solved by itself, of all and by kind, and the failures."""

    def rate(tasks: Iterable[LiveTask]) -> list[float | None]:
        return as_list(share_interval([(int(task.is_solved), 1) for task in tasks]))

    kinds = [kind for kind in get_args(Kind) if any(task.task.kind == kind for task in live)]
    errors = [task.trajectory.error for task in live if task.trajectory.error is not None]
    return {
        "solved": rate(live),
        "solved_by_kind": {kind: rate(task for task in live if task.task.kind == kind) for kind in kinds},
        "num_failed": len(errors),
        "first_failure": errors[0] if errors else None,
    }


def acceptance(turns: Sequence[DraftedTurn]) -> Figures:
    """Return the call acceptance rate by the number of samples: one greedy sample, and more at TEMPERATURE; beside
    them one sample at TEMPERATURE, and one greedy sample by kind."""

    def greedy(some: Sequence[DraftedTurn]) -> list[float | None]:
        return _share(some, DraftedTurn.greedy_matches)

    def sampled(num: int) -> list[float | None]:
        return _share(turns, lambda turn: turn.sampled_matches(num))

    rates = {str(num): greedy(turns) if num == 1 else sampled(num) for num in NUM_SAMPLES}
    return {
        "call_acceptance_rate": rates,
        "call_acceptance_rate_sampled_once": sampled(1),
        "call_acceptance_rate_by_kind": _by_kind(turns, greedy),
        "num_calls": sum(len(turn.calls) for turn in turns),
    }


def times(timings: Sequence[Timing]) -> Figures:
    """Return g/G and both times in seconds by number of agents, alone or colocated, and number of samples.

    Each is the median over turns, after the median over the repeats of a turn; g/G is taken turn by turn, within one
    way of asking. G alone has no number of samples.
    """
    found: Figures = {"g_over_G": {}, "g_s": {}, "G_s": {}}
    for num_agents in sorted({timing.num_agents for timing in timings}):
        rows = [timing for timing in timings if timing.num_agents == num_agents]
        G_alone = _by_turn((row, row.G_s) for row in rows if not row.mode.num_samples)
        by_place: Figures = {name: {"alone": {}, "colocated": {}} for name in found}
        by_place["G_s"]["alone"] = _median(G_alone)
        for num in NUM_SAMPLES:
            alone = [row for row in rows if row.mode.num_samples == num and not row.mode.has_target]
            beside = [row for row in rows if row.mode.num_samples == num and row.mode.has_target]
            G_beside = _by_turn((row, row.G_s) for row in beside)
            by_place["G_s"]["colocated"][str(num)] = _median(G_beside)
            for place, asked, G_s in (("alone", alone, G_alone), ("colocated", beside, G_beside)):
                g_s = _by_turn((row, row.g_s) for row in asked)
                by_place["g_s"][place][str(num)] = _median(g_s)
                by_place["g_over_G"][place][str(num)] = _median({turn: g_s[turn] / G_s[turn] for turn in g_s})
        for name in found:
            found[name][str(num_agents)] = by_place[name]
    return found


def as_list(interval: Interval) -> list[float | None]:
    return [interval.low, interval.mid, interval.high]


def _share(rows: Sequence[Scored], are_right: Callable[[Scored], Sequence[bool]]) -> list[float | None]:
    tasks: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        tasks[row.task_id] += are_right(row)
    return as_list(share_interval([(sum(task), len(task)) for task in tasks.values()]))


def _by_kind(rows: Sequence[Scored], figure: Callable[[Sequence[Scored]], Any]) -> Figures:
    kinds = [kind for kind in get_args(Kind) if any(row.kind == kind for row in rows)]
    return {kind: figure([row for row in rows if row.kind == kind]) for kind in kinds}


def _by_turn(rows: Iterable[tuple[Timing, float | None]]) -> dict[tuple[str, int], float]:
    repeats: dict[tuple[str, int], list[float]] = defaultdict(list)
    for row, value in rows:
        assert value is not None, f"{row} lacks a time that its mode has"
        repeats[row.task_id, row.turn].append(value)
    return {turn: median(values) for turn, values in repeats.items()}


def _median(turns: Mapping[tuple[str, int], float]) -> list[float | None]:
    tasks: dict[str, list[float]] = defaultdict(list)
    for (task_id, _), value in turns.items():
        tasks[task_id].append(value)
    return as_list(median_interval(list(tasks.values())))
