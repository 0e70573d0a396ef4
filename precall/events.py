"""Events: the facts that a trajectory leaves behind. Every metric is a function of them.

Times are seconds of the running event loop's monotonic clock, so that they can be subtracted from each other and from
nothing else; a virtual loop gives virtual times.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class EventKind(StrEnum):
    """What happened; the comments name the entries of `data`."""

    TRAJECTORY_STARTED = "trajectory_started"
    TURN_STARTED = "turn_started"
    GENERATION_FINISHED = "generation_finished"
    # sent_s, first_token_s, finished_s, num_prompt_tokens, num_output_tokens, num_cached_prompt_tokens,
    # num_reasoning_tokens, num_calls, prompt_hash, output_hash, finish_reason
    DRAFT_SKIPPED = "draft_skipped"  # reason: the draft is not asked in this turn
    DRAFT_STARTED = "draft_started"
    DRAFT_ANSWERED = "draft_answered"  # sample (complete), sent_s, calls, num_prompt_tokens, num_output_tokens
    DRAFT_FAILED = "draft_failed"  # message
    DRAFT_ENDED = "draft_ended"  # is_cut_off: it had more to say when the target had spoken; after every DRAFT_STARTED
    CALL_PREDICTED = "call_predicted"  # name, arguments (canonical), sample
    EXECUTION_LAUNCHED = "execution_launched"  # name, arguments
    EXECUTION_REFUSED = "execution_refused"  # name, arguments, reason
    EXECUTION_ENDED = "execution_ended"  # name, arguments, fate, launched_s, duration_s
    COMMIT_ENDED = "commit_ended"
    # name, arguments, has_changed (None: the fork was not committed), fork_s (to make it), duration_s, message
    CALL_SETTLED = "call_settled"
    # name, arguments, confirmed_s, outcome, is_predicted, is_eligible, is_executed (by the engine), duration_s,
    # is_error, observation_hash
    OUTPUT_POSTED = "output_posted"  # name, arguments, is_running: the tool cache has taken it
    POST_FAILED = "post_failed"  # name, arguments, is_running, status (None: there was no answer), message
    TRAJECTORY_FINISHED = "trajectory_finished"  # status, message
    TRAJECTORY_GRADED = "trajectory_graded"
    # is_solved (None: not known), workspace_hash, duration_s (of the judge), details


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    kind: EventKind
    time_s: float
    trajectory_id: str
    turn: int | None = None
    data: dict[str, Any] = field(default_factory=dict)


EventSink = Callable[[Event], None]


def now_s() -> float:
    """Return the time on the running event loop's clock, in seconds."""
    return asyncio.get_running_loop().time()


class EventRecorder:
    """Stamps the events of one trajectory and hands them to a sink, and to those who `listen`."""

    def __init__(self, trajectory_id: str, sink: EventSink) -> None:
        self.trajectory_id = trajectory_id
        self._sinks = [sink]

    def listen(self, sink: EventSink) -> None:
        """Hand every event from now on to `sink`, too."""
        self._sinks.append(sink)

    def emit(self, kind: EventKind, turn: int | None = None, **data: Any) -> None:
        event = Event(kind=kind, time_s=now_s(), trajectory_id=self.trajectory_id, turn=turn, data=data)
        for sink in self._sinks:
            sink(event)
