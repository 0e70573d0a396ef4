"""The recorder: a run goes into the format and comes back, ready to be replayed."""

import asyncio
from pathlib import Path
from typing import Any

from agents.function_calling import FunctionCallingAgent
from agents.task import Task
from agents.trajectory import Status, Trajectory
from harness.replay.recorder import record
from harness.replay.trajectories import RecordedObservation, RecordedTurn, read_trajectories, write_trajectories
from precall.calls import ToolCall
from precall.events import Event, EventRecorder
from precall.policy import LaunchPolicy
from precall.speculation import ClientSpeculation
from precall.testing.scripted import ScriptedDraft, ScriptedGeneration, ScriptedSample, ScriptedTarget
from precall.testing.virtual_time import run_virtual
from precall.tools import Effect, Tool, run_tool

FIND = ToolCall(name="find", arguments='{"x":  1}')
SORT = ToolCall(name="find", arguments='{"x": 2}')
CALL, ANSWER = ScriptedGeneration(duration_s=2.0, calls=(FIND,)), ScriptedGeneration(duration_s=1.0, content="done")
LATE = ScriptedSample(delay_s=9.0, calls=(SORT,))
TURNS = [
    [ScriptedSample(delay_s=1.0, calls=(SORT,)), ScriptedSample(delay_s=0.5, calls=(FIND,)), LATE],
    [ScriptedSample(delay_s=0.1), LATE],
    [],
]


async def find(**arguments: Any) -> str:
    await asyncio.sleep(0.25)
    return f"found {arguments['x']}"


FIND_TOOL = Tool(
    name="find", description="", parameters={"type": "object"}, function=find, effect=Effect.PURE, timeout_s=9.0
)
TASK = Task(
    task_id="t",
    user_turns=(({"role": "user", "content": "a"},), ({"role": "user", "content": "b"},)),
    make_tools=lambda: (FIND_TOOL,),
)


def run(
    script: list[ScriptedGeneration], max_turns: int = 20, samples: list[list[ScriptedSample]] = TURNS
) -> tuple[Trajectory, list[Event]]:
    events: list[Event] = []

    async def work() -> Trajectory:
        recorder = EventRecorder("spec-1/t", events.append)
        return await FunctionCallingAgent(max_turns).run(
            TASK,
            target=ScriptedTarget([[generation] for generation in script]),
            speculation=ClientSpeculation(ScriptedDraft(turns=samples), LaunchPolicy(), run_tool, recorder),
            executor=run_tool,
            recorder=recorder,
        )

    return run_virtual(work()), events


def test_a_run_is_recorded_and_read_back_turn_by_turn(tmp_path: Path) -> None:
    trajectory, events = run([CALL, ANSWER, ANSWER])
    write_trajectories(tmp_path / "t.jsonl", record([trajectory], events, "a test"))
    back = read_trajectories(tmp_path / "t.jsonl")
    assert (back.origin, back.description) == ("recorded", "a test")
    (recorded,) = back.trajectories
    assert recorded.task_id == "t"
    assert recorded.turns == (
        RecordedTurn(
            user_turn=0,
            reasoning="",
            content="",
            calls=(FIND,),
            draft_samples=((SORT,), (FIND,)),
            observations=(RecordedObservation(content="found 1", duration_s=0.25),),
        ),
        RecordedTurn(user_turn=0, reasoning="", content="done", calls=(), draft_samples=((),), observations=()),
        RecordedTurn(user_turn=1, reasoning="", content="done", calls=(), draft_samples=(), observations=()),
    )


def test_of_a_sample_that_the_target_overtook_the_calls_that_were_complete_are_recorded() -> None:
    overtaken = ScriptedSample(delay_s=9.0, calls=(FIND, SORT), call_delays_s=(1.0,))
    trajectory, events = run([CALL, ANSWER, ANSWER], samples=[[overtaken]])
    (recorded,) = record([trajectory], events, "").trajectories
    assert [turn.draft_samples for turn in recorded.turns] == [
        ((ToolCall(name="find", arguments='{"x":1}'),),),
        (),
        (),
    ]


def test_a_trajectory_that_did_not_come_to_an_answer_cannot_be_replayed_and_is_left_out(tmp_path: Path) -> None:
    cut, cut_events = run([CALL], max_turns=1)
    whole, events = run([CALL, ANSWER, ANSWER])
    assert cut.status is Status.TURN_LIMIT
    write_trajectories(tmp_path / "t.jsonl", record([cut, whole], [*cut_events, *events], ""))
    assert len(read_trajectories(tmp_path / "t.jsonl").trajectories) == 1


def test_events_of_another_trajectory_are_not_mixed_in() -> None:
    trajectory, events = run([CALL, ANSWER, ANSWER])
    others = [
        Event(kind=e.kind, time_s=e.time_s, trajectory_id="spec-1/other", turn=e.turn, data=e.data) for e in events
    ]
    assert record([trajectory], [*others, *events], "") == record([trajectory], events, "")
