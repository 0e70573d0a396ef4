"""Tasks, scripts and tools for simulated agents, made from the numbers of tokens in harness/backends/simulated/work.py.

One tool, `look_up`, which leaves the world as it is. Each call of a task has an argument of its own, so a sample of the
draft that is wrong names another.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace

from agents.task import Task
from harness.backends.simulated.models import SimulatedDraft, SimulatedTarget
from harness.backends.simulated.resident import SimulatedResidentTarget
from harness.backends.simulated.script import Script, ScriptedSample, ScriptedTurn
from harness.backends.simulated.server import SimulatedServer
from harness.backends.simulated.setting import Method, Setting
from harness.backends.simulated.work import TaskWork
from harness.runner import Participants
from precall.adaptive import AdaptiveSwitch
from precall.calls import Observation, ToolCall
from precall.events import EventRecorder
from precall.policy import LaunchPolicy
from precall.speculation import ClientSpeculation, NoSpeculation
from precall.tool_cache import ToolCachePublisher
from precall.tools import Effect, Tool, run_tool

_PARAMETERS = {"type": "object", "properties": {"turn": {"type": "integer"}}, "required": ["turn"]}


def task_of(work: TaskWork) -> Task:
    return Task(
        task_id=work.task_id,
        user_turns=(({"role": "user", "content": work.task_id},),),
        make_tools=lambda: (_look_up(),),
    )


def _look_up() -> Tool:
    async def function(turn: int) -> str:
        return str(turn)

    return Tool(name="look_up", description="", parameters=_PARAMETERS, function=function, effect=Effect.PURE)


def _call(turn: int) -> ToolCall:
    return ToolCall(name="look_up", arguments=json.dumps({"turn": turn}))


def script_of(work: TaskWork, setting: Setting) -> Script:
    """Return what target and draft say. One sample has the call where the turn's draw says so, and no other does."""
    turns, num_input_tokens = [], [work.num_prompt_tokens, *(turn.num_result_tokens for turn in work.turns)]
    for index, turn in enumerate(work.turns):
        is_call = turn.num_call_tokens > 0
        is_hit = is_call and turn.hit_draw < setting.hit_rate
        said = [(_call(index),) if is_hit and sample == 0 else () for sample in range(setting.num_samples)]
        turns.append(
            ScriptedTurn(
                num_reasoning_tokens=turn.num_reasoning_tokens,
                num_call_tokens=turn.num_call_tokens,
                content="" if is_call else "done",
                calls=(_call(index),) if is_call else (),
                samples=tuple(ScriptedSample(calls=calls, num_tokens=turn.num_draft_tokens) for calls in said),
            )
        )
    return Script(
        key=work.task_id, turns=tuple(turns), num_input_tokens=lambda index, messages: num_input_tokens[index]
    )


class SyntheticWorld:
    """The servers of one run, and who works on its tasks: `make` is a harness.runner.MakeParticipants."""

    def __init__(
        self,
        work: Sequence[Sequence[TaskWork]],
        setting: Setting,
        target: SimulatedServer,
        drafts: Sequence[SimulatedServer],
        switch: AdaptiveSwitch | None = None,
    ) -> None:
        self.tasks = [task_of(each) for tasks in work for each in tasks]
        self._work = {each.task_id: each for tasks in work for each in tasks}
        self._setting = setting
        self._target = target
        self._drafts = drafts
        self._switch = switch

    def make(self, task: Task, recorder: EventRecorder, agent: int) -> Participants:
        setting, work = self._setting, self._work[task.task_id]
        script = script_of(work, setting)

        async def execute(tool: Tool, call: ToolCall, occurrence: int) -> Observation:
            turn = work.turns[json.loads(call.arguments)["turn"]]
            latency_s = setting.latency_s(turn)
            await asyncio.sleep(latency_s)
            return replace(await run_tool(tool, call, occurrence), duration_s=latency_s)

        if setting.method is Method.standard:
            target = SimulatedTarget(self._target, script)
            return Participants(target=target, speculation=NoSpeculation(), executor=execute)
        draft, publisher = SimulatedDraft(self._drafts[agent % len(self._drafts)], script), None
        if setting.method is Method.engine:
            publisher = ToolCachePublisher(self._target, recorder)
            target = SimulatedResidentTarget(self._target, script, publisher, max_wait_s=setting.max_wait_s)
        else:
            target = SimulatedTarget(self._target, script)
        speculation = ClientSpeculation(draft, LaunchPolicy(), execute, recorder, publisher, switch=self._switch)
        return Participants(target=target, speculation=speculation, executor=execute)
