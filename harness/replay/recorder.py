"""Records a run in the trajectory format, so that it can be replayed on any machine."""

from collections.abc import Iterable, Sequence

from agents.trajectory import Status, Trajectory
from harness.replay.trajectories import RecordedObservation, RecordedTrajectory, RecordedTurn, TrajectorySet
from precall.calls import ToolCall
from precall.events import Event, EventKind


def record(trajectories: Iterable[Trajectory], events: Sequence[Event], description: str) -> TrajectorySet:
    """Return what target, draft and tools did in one run, by task. A draft's sample that had not arrived when the
    target was done is not part of the record, nor is a trajectory that has not come to an answer: it cannot be
    replayed."""
    samples: dict[tuple[str, int], dict[int, tuple[ToolCall, ...]]] = {}
    for event in events:
        if event.kind is EventKind.DRAFT_ANSWERED:
            assert event.turn is not None
            calls = tuple(ToolCall(name=call["name"], arguments=call["arguments"]) for call in event.data["calls"])
            samples.setdefault((event.trajectory_id, event.turn), {})[event.data["sample"]] = calls
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
