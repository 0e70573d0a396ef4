"""Scripts of simulated models from recorded or built trajectories: how many tokens each turn has in a model's form."""

import functools
import json
from collections.abc import Sequence
from dataclasses import replace

from agents.task import Task
from harness.backends.simulated.script import Message, Script, ScriptedSample, ScriptedTurn
from harness.replay.rendering import Renderer
from harness.replay.trajectories import RecordedTrajectory

MESSAGE_TOKENS = 5
"""What a chat template puts around a message, roughly. Tools are counted as the JSON in which a request has them."""


def script_of(task: Task, trajectory: RecordedTrajectory, target: Renderer, draft: Renderer | None) -> Script:
    """Return what a simulated target and draft say on `task`. Without a renderer for the draft it says nothing."""
    turns = []
    for turn in trajectory.turns:
        num_tokens = len(target.target_tokens(turn))
        # What is left without the call, but for the end of the turn, comes before it.
        num_before = len(target.target_tokens(replace(turn, calls=()))) - 1 if turn.calls else num_tokens
        samples = turn.draft_samples if draft is not None else ()
        turns.append(
            ScriptedTurn(
                num_reasoning_tokens=num_before,
                num_call_tokens=num_tokens - num_before,
                reasoning=turn.reasoning,
                content=turn.content,
                calls=turn.calls,
                samples=tuple(
                    ScriptedSample(calls=calls, num_tokens=len(draft.draft_tokens(calls)) if draft else 0)
                    for calls in samples
                ),
            )
        )
    num_tool_tokens = target.num_tokens(json.dumps([tool.to_openai() for tool in task.make_tools()]))
    count = functools.cache(lambda text: target.num_tokens(text) + MESSAGE_TOKENS)

    def num_input_tokens(index: int, messages: Sequence[Message]) -> int:
        num_tokens = sum(count(str(message["content"])) for message in messages)
        return num_tokens + (0 if index else num_tool_tokens)

    return Script(key=task.task_id, turns=tuple(turns), num_input_tokens=num_input_tokens)
