"""Records a run in the trajectory format, so that it can be replayed on any machine."""

from collections.abc import Iterable, Sequence

from agents.trajectory import Status, Trajectory
from harness.replay.trajectories import RecordedObservation, RecordedTrajectory, RecordedTurn, TrajectorySet
from precall.calls import ToolCall
from precall.events import Event, EventKind


def record(trajectories: Iterable[Trajectory], events: Sequence[Event], description: str) -> TrajectorySet:
    """Return what target, draft and tools did in one run, by task. Of a draft's sample that was not complete when the
    target was done the record has the calls that no other sample had predicted, as keys. A trajectory that has not come
    to an answer is not part of it: it cannot be replayed."""
    samples: dict[tuple[str, int], dict[int, tuple[ToolCall, ...]]] = {}
    answered: set[tuple[str, int, int]] = set()
    for event in events:
        if event.kind not in (EventKind.CALL_PREDICTED, EventKind.DRAFT_ANSWERED):
            continue
        assert event.turn is not None
        of_turn, sample = samples.setdefault((event.trajectory_id, event.turn), {}), event.data["sample"]
        if event.kind is EventKind.DRAFT_ANSWERED:
            of_turn[sample] = tuple(ToolCall(name=c["name"], arguments=c["arguments"]) for c in event.data["calls"])
            answered.add((event.trajectory_id, event.turn, sample))
        elif (event.trajectory_id, event.turn, sample) not in answered:
            call = ToolCall(name=event.data["name"], arguments=event.data["arguments"])
            of_turn[sample] = (*of_turn.get(sample, ()), call)
    return TrajectorySet(
        origin="recorded",
        description=description,
        trajectories=tuple(_record_one(each, samples) for each in trajectories if each.status is Status.FINISHED),
    )


def _record_one(
    trajectory: Trajectory, samples: dict[tuple[str, int], dict[int, tuple[ToolCall, ...]]]
) -> RecordedTrajectory:
    turns = []
    for turn, user_turn in zip(trajectory.turns, trajectory.user_turn_of, strict=True):
        predicted = samples.get((trajectory.trajectory_id, turn.index), {})
        turns.append(
            RecordedTurn(
                user_turn=user_turn,
                reasoning=turn.generation.reasoning,
                content=turn.generation.content,
                calls=tuple(ToolCall(name=c.name, arguments=c.arguments) for c in turn.generation.tool_calls),
                draft_samples=tuple(predicted[sample] for sample in sorted(predicted)),
                observations=tuple(
                    RecordedObservation(content=o.content, duration_s=o.duration_s) for o in turn.observations
                ),
            )
        )
    return RecordedTrajectory(task_id=trajectory.task_id, turns=tuple(turns))
