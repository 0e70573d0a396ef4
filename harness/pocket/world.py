"""The pocket world: draws tasks, with the conversation that solves each one, from a seed.

What a tool returns in a conversation comes from running it on the task's own state.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agents.task import Task
from harness.pocket import cues, reasoning, scenes
from harness.pocket.phrasing import ANSWERS
from harness.pocket.reasoning import Effort
from harness.pocket.scenes import Arguments, Scene
from harness.pocket.tools import TOOL_NAMES, TWINS, Toolbox
from harness.pocket.values import Split
from precall.calls import ToolCall
from precall.errors import ConfigError

Kind = Literal["single", "chained", "cued", "none", "parallel"]

KIND_SHARES: dict[Kind, float] = {"single": 0.48, "chained": 0.23, "cued": 0.17, "none": 0.07, "parallel": 0.05}
"""Shares of the kinds among tasks with up to three tools; those that need more tools than there are fall away."""
_NUM_TOOLS_NEEDED: dict[Kind, int] = {"single": 1, "chained": 2, "cued": 2, "none": 1, "parallel": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class PocketTurn:
    """One turn of the conversation that solves a task. The last has no calls and the answer as its content."""

    reasoning: str
    content: str = ""
    calls: tuple[ToolCall, ...] = ()
    observations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PocketTask:
    """A task with the conversation that solves it."""

    task: Task
    kind: Kind
    turns: tuple[PocketTurn, ...]

    @property
    def answer(self) -> str:
        return self.turns[-1].content


def draw_task(draw: random.Random, split: Split, *, max_tools: int = 3, task_id: str) -> PocketTask:
    """Return a task that offers one to `max_tools` tools, those that it needs among them, in random order.

    Raises ConfigError for a `max_tools` below 1 or above the number of tools.
    """
    if not 1 <= max_tools <= len(TOOL_NAMES):
        raise ConfigError(f"max_tools is {max_tools}; it must be between 1 and {len(TOOL_NAMES)}, the number of tools.")
    kinds: list[Kind] = [kind for kind in KIND_SHARES if _NUM_TOOLS_NEEDED[kind] <= max_tools]
    kind = draw.choices(kinds, [KIND_SHARES[kind] for kind in kinds])[0]
    match kind:
        case "single":
            scene = scenes.draw_single(draw, split)
        case "chained":
            scene = scenes.draw_chained(draw, split, max_tools)
        case "cued":
            scene = cues.draw_cued(draw, split, is_near=draw.random() < 0.5)
        case "none":
            scene = scenes.draw_talk(draw, split)
        case "parallel":
            scene = scenes.draw_several(draw, split)
    return make_task(draw, kind, scene, max_tools=max_tools, task_id=task_id)


def draw_tasks(num_tasks: int, *, seed: int, split: Split) -> list[PocketTask]:
    """Return the first `num_tasks` tasks of a seed and a split; each depends on its index and not on the number."""
    names = [f"pocket_{split}_{seed}_{index}" for index in range(num_tasks)]
    return [draw_task(random.Random(name), split, task_id=name) for name in names]


def make_task(draw: random.Random, kind: Kind, scene: Scene, *, max_tools: int, task_id: str) -> PocketTask:
    """Return the task of a scene: its tools with others besides, and its conversation, from running the tools."""
    effort = reasoning.draw_effort(draw)
    toolbox = Toolbox(names=_draw_offer(draw, scene.needed, max_tools), state=scene.state)
    turns = _solve(draw, effort, scene, toolbox)
    request = reasoning.OPENINGS[effort] + scene.request
    task = Task(
        task_id=task_id,
        user_turns=(({"role": "user", "content": request},),),
        make_tools=toolbox,
        reference_calls=(tuple(call for turn in turns for call in turn.calls),),
    )
    return PocketTask(task=task, kind=kind, turns=turns)


def messages_of(task: PocketTask) -> list[dict[str, Any]]:
    """Return the whole conversation as the chat-completions API takes it, reasoning included."""
    messages: list[dict[str, Any]] = [dict(message) for message in task.task.user_turns[0]]
    for turn in task.turns:
        message: dict[str, Any] = {"role": "assistant", "reasoning": turn.reasoning, "content": turn.content}
        if turn.calls:
            message["tool_calls"] = [_to_openai(call) for call in turn.calls]
        messages.append(message)
        for call, observation in zip(turn.calls, turn.observations, strict=True):
            messages.append({"role": "tool", "tool_call_id": call.call_id, "content": observation})
    return messages


def tools_of(task: PocketTask) -> list[dict[str, Any]]:
    """Return the tools that the task offers, as the chat-completions API takes them."""
    return [tool.to_openai() for tool in task.task.make_tools()]


def _to_openai(call: ToolCall) -> dict[str, Any]:
    return {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _draw_offer(draw: random.Random, needed: Sequence[str], max_tools: int) -> tuple[str, ...]:
    # A twin of a needed tool would be right, too, unless a cue says which.
    excluded = {*needed, *(TWINS[name] for name in needed if name in TWINS)}
    others = [name for name in TOOL_NAMES if name not in excluded]
    num_offered = draw.randint(max(1, len(needed)), max_tools)
    offered = [*needed, *draw.sample(others, num_offered - len(needed))]
    return tuple(draw.sample(offered, num_offered))


def _solve(draw: random.Random, effort: Effort, scene: Scene, toolbox: Toolbox) -> tuple[PocketTurn, ...]:
    tools = {tool.name: tool for tool in toolbox()}
    turns: list[PocketTurn] = []
    observation, answer, num_calls = "", scene.answer, 0
    for step in scene.steps:
        asked = step.arguments(observation)
        observations = tuple(str(tools[step.name].function(**arguments)) for arguments in asked)
        text = reasoning.before_call(
            draw,
            effort,
            name=step.name,
            arguments=asked,
            offered=toolbox.names,
            comparison=step.comparison,
            is_first=not turns,
        )
        calls = tuple(
            ToolCall(name=step.name, arguments=json.dumps(arguments), call_id=f"call_{num_calls + index}")
            for index, arguments in enumerate(asked)
        )
        turns.append(PocketTurn(reasoning=text, calls=calls, observations=observations))
        num_calls += len(calls)
        observation, answer = observations[0], _answer(step.name, asked, observations)
    closing = reasoning.before_answer(draw, is_called=bool(turns))
    return (*turns, PocketTurn(reasoning=closing, content=answer))


def _answer(name: str, asked: Sequence[Arguments], observations: Sequence[str]) -> str:
    if len(asked) == 1:
        return ANSWERS[name].format(observation=observations[0])
    values = [next(iter(arguments.values())) for arguments in asked]
    parts = [f"{value}: {observation}" for value, observation in zip(values, observations, strict=True)]
    return f"{', '.join(parts)}."
