"""What a comparison of live models adds: how many trajectories went apart, and what the cost model predicts from what
the runs themselves show. A replayed comparison knows both beforehand (harness/metrics/comparison.py)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from harness.metrics.comparison import fingerprint, generations_s, predict_time_saved_pct, task_id_of
from precall.cost_model.turns import TurnTimes
from precall.events import Event, EventKind

Runs = Mapping[str, Sequence[Event]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """Trajectories whose generated tokens or observations differ from those of the first baseline run: of the
    speculative runs, and of the other baseline run, which says how far a model differs from itself."""

    num_diverged: int
    num_diverged_base: int


def divergence(runs: Runs) -> Divergence:
    """Count the trajectories that went apart. Raises MeasurementError when a server returned no token ids."""
    prints = {name: fingerprint(events) for name, events in runs.items()}
    first = prints["base-1"]

    def count(arm: str) -> int:
        return sum(
            _of_models_and_tools(own.get(task, [])) != _of_models_and_tools(first.get(task, []))
            for name, own in prints.items()
            if name.startswith(arm)
            for task in own.keys() | first.keys()
        )

    return Divergence(num_diverged=count("spec"), num_diverged_base=count("base"))


def _of_models_and_tools(entries: Sequence[tuple]) -> list[tuple]:
    return [entry for entry in entries if entry[0] != "prompt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The time saved that the cost model gives, in percent: with G of the baseline throughout, and with G as it was
    beside speculation."""

    predicted_time_saved_pct: float
    predicted_loaded_time_saved_pct: float


def prediction(runs: Runs, agents: Sequence[Sequence[str]]) -> Prediction:
    """Predict the time saved from the turns of the speculative runs: hits and g as they came about beside the target,
    tools as long as they took, G from the baseline. `agents` lists the task ids of each."""
    base_G = generations_s([events for name, events in runs.items() if name.startswith("base")])
    spec = [events for name, events in runs.items() if name.startswith("spec")]
    plain, loaded = [], []
    for events in spec:
        own_G = generations_s([events])
        turns = turns_of(events, own_G | {key: G for key, G in base_G.items() if key in own_G})
        plain.append(predict_time_saved_pct(agents, turns))
        loaded.append(predict_time_saved_pct(agents, turns, turns_of(events, own_G)))
    return Prediction(predicted_time_saved_pct=fmean(plain), predicted_loaded_time_saved_pct=fmean(loaded))


def turns_of(events: Sequence[Event], G_s: Mapping[tuple[str, int], float]) -> dict[str, list[TurnTimes]]:
    """Return, by task, the turns of a speculative run as the cost model sees them. g is the time from the start of a
    turn to the prediction of the last of its hits, 0 for one that an earlier turn predicted; `G_s` has seconds by task
    and turn."""
    started_s: dict[tuple[str, int], float] = {}
    predicted_s: dict[tuple[str, int, str, str], float] = {}
    settled: dict[tuple[str, int], list[Event]] = {}
    finished: list[tuple[str, int]] = []
    for event in events:
        if event.turn is None:
            continue
        turn = (task_id_of(event), event.turn)
        match event.kind:
            case EventKind.TURN_STARTED:
                started_s[turn] = event.time_s
            case EventKind.CALL_PREDICTED:
                predicted_s.setdefault((*turn, event.data["name"], event.data["arguments"]), event.time_s)
            case EventKind.GENERATION_FINISHED:
                finished.append(turn)
            case EventKind.CALL_SETTLED:
                settled.setdefault(turn, []).append(event)
    turns: dict[str, list[TurnTimes]] = {}
    for turn in finished:
        calls = settled.get(turn, [])
        is_hit = tuple(call.data["outcome"] != "miss" for call in calls)
        hits = [call for call, hit in zip(calls, is_hit, strict=True) if hit]
        keys = [(*turn, call.data["name"], call.data["arguments"]) for call in hits]
        turns.setdefault(turn[0], []).append(
            TurnTimes(
                G=G_s[turn],
                g=max((predicted_s[key] - started_s[turn] for key in keys if key in predicted_s), default=0.0),
                tool_s=tuple(call.data["duration_s"] or 0.0 for call in calls),
                is_hit=is_hit,
            )
        )
    return turns
