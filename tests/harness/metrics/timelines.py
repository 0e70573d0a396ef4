"""Events by hand: timelines of trajectories whose metrics can be computed on paper."""

from typing import Any

from precall.events import Event, EventKind


def event(kind: EventKind, time_s: float, task: str = "a", run: str = "base-1", turn: int | None = None, **data: Any):
    return Event(kind=kind, time_s=time_s, trajectory_id=f"{run}/{task}", turn=turn, data=data)


def started(time_s: float, task: str = "a", run: str = "base-1") -> Event:
    return event(EventKind.TRAJECTORY_STARTED, time_s, task, run)


def ended(time_s: float, task: str = "a", run: str = "base-1") -> Event:
    return event(EventKind.TRAJECTORY_FINISHED, time_s, task, run, status="finished", message=None)


def generated(
    sent_s: float,
    finished_s: float,
    *,
    task: str = "a",
    run: str = "base-1",
    turn: int = 0,
    first_token_s: float | None = None,
    num_output_tokens: int | None = 10,
    num_calls: int = 1,
    prompt_hash: str | None = "p",
    output_hash: str | None = "g",
) -> Event:
    """A generation that was sent at `sent_s` and ended at `finished_s`, with a call unless `num_calls` is 0."""
    return event(
        EventKind.GENERATION_FINISHED,
        finished_s,
        task,
        run,
        turn,
        sent_s=sent_s,
        first_token_s=first_token_s,
        finished_s=finished_s,
        num_prompt_tokens=100,
        num_output_tokens=num_output_tokens,
        num_calls=num_calls,
        prompt_hash=prompt_hash,
        output_hash=output_hash,
        finish_reason="tool_calls" if num_calls else "stop",
    )


def settled(
    time_s: float,
    *,
    task: str = "a",
    run: str = "base-1",
    turn: int = 0,
    duration_s: float | None = 1.0,
    outcome: str = "miss",
    is_predicted: bool = False,
    is_eligible: bool = True,
    is_executed: bool = False,
    observation_hash: str = "o",
) -> Event:
    return event(
        EventKind.CALL_SETTLED,
        time_s,
        task,
        run,
        turn,
        name="f",
        arguments="{}",
        confirmed_s=time_s,
        outcome=outcome,
        is_predicted=is_predicted,
        is_eligible=is_eligible,
        is_executed=is_executed,
        duration_s=duration_s,
        is_error=False,
        observation_hash=observation_hash,
    )


def asked(time_s: float, *, task: str = "a", run: str = "spec-1", turn: int = 0) -> Event:
    """The draft of a turn begins."""
    return event(EventKind.DRAFT_STARTED, time_s, task, run, turn)


def drafted(sent_s: float, answered_s: float, *, task: str = "a", run: str = "spec-1", turn: int = 0) -> Event:
    return event(
        EventKind.DRAFT_ANSWERED,
        answered_s,
        task,
        run,
        turn,
        sample=0,
        sent_s=sent_s,
        calls=[],
        num_prompt_tokens=50,
        num_output_tokens=3,
    )


def launched(time_s: float, *, task: str = "a", run: str = "spec-1", turn: int = 0) -> Event:
    return event(EventKind.EXECUTION_LAUNCHED, time_s, task, run, turn, name="f", arguments="{}")


def execution_ended(time_s: float, fate: str, duration_s: float, *, task: str = "a", run: str = "spec-1") -> Event:
    return event(
        EventKind.EXECUTION_ENDED,
        time_s,
        task,
        run,
        0,
        name="f",
        arguments="{}",
        fate=fate,
        launched_s=time_s - duration_s,
        duration_s=duration_s,
    )
