"""The function-calling agent: from the first user turn to the last answer, and every other way it may end."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from agents.function_calling import FunctionCallingAgent
from agents.task import Task
from agents.trajectory import Status, Trajectory
from precall.calls import ToolCall
from precall.errors import ConfigError
from precall.events import Event, EventKind, EventRecorder, now_s
from precall.ledger import Ledger
from precall.policy import LaunchPolicy
from precall.speculation import ClientSpeculation, NoSpeculation, Speculation
from precall.testing.scripted import ScriptedDraft, ScriptedGeneration, ScriptedSample, ScriptedTarget
from precall.testing.virtual_time import run_virtual
from precall.tools import Effect, Tool, run_tool

LOOK = ToolCall(name="look", arguments='{"x": 1}')
CALL = ScriptedGeneration(duration_s=2.0, calls=(LOOK,), num_output_tokens=20)
ANSWER = ScriptedGeneration(duration_s=1.0, content="done", num_output_tokens=5)
BROKEN = ScriptedGeneration(duration_s=2.0, failure="the engine is dead")
GUESS = ScriptedSample(delay_s=0.5, calls=(LOOK,))


async def look(**_: Any) -> str:
    await asyncio.sleep(10.0)
    return "seen"


LOOK_TOOL = Tool(name="look", description="", parameters={"type": "object"}, function=look, effect=Effect.READ)


@dataclass(slots=True, kw_only=True)
class World:
    """One trajectory: its events, what the target was sent, and the tasks that were left running after it."""

    target: ScriptedTarget
    events: list[Event] = field(default_factory=list)
    num_left: int = 0

    def ends(self) -> list[tuple[str, str | None]]:
        """Return the statuses and messages of the events that end trajectories."""
        finished = [event.data for event in self.events if event.kind is EventKind.TRAJECTORY_FINISHED]
        return [(data["status"], data["message"]) for data in finished]


def world(*script: ScriptedGeneration) -> World:
    return World(target=ScriptedTarget([[generation] for generation in script]))


async def work(
    in_world: World, num_user_turns: int = 1, max_turns: int = 20, draft: ScriptedDraft | None = None
) -> Trajectory:
    task = Task(
        task_id="t",
        user_turns=tuple(({"role": "user", "content": f"question {index}"},) for index in range(num_user_turns)),
        make_tools=lambda: (LOOK_TOOL,),
    )
    recorder = EventRecorder("spec-1/t", in_world.events.append)
    speculation: Speculation = NoSpeculation()
    if draft is not None:
        speculation = ClientSpeculation(draft, LaunchPolicy(), run_tool, recorder)
    trajectory = await FunctionCallingAgent(max_turns).run(
        task,
        target=in_world.target,
        speculation=speculation,
        executor=run_tool,
        recorder=recorder,
    )
    in_world.num_left = len(asyncio.all_tasks()) - 1
    return trajectory


def roles(messages: list[dict[str, Any]]) -> list[str]:
    return [message["role"] for message in messages]


def test_it_goes_on_until_the_target_answers_without_a_call() -> None:
    in_world = world(CALL, CALL, ANSWER)
    trajectory = run_virtual(work(in_world))
    assert trajectory.status is Status.FINISHED
    assert [len(turn.observations) for turn in trajectory.turns] == [1, 1, 0]
    assert trajectory.turns[0].observations[0].content == "seen"
    assert trajectory.num_output_tokens == 45
    assert trajectory.duration_s == 2.0 + 10.0 + 2.0 + 10.0 + 1.0
    assert in_world.ends() == [("finished", None)]


def test_each_request_carries_the_whole_history_so_far() -> None:
    in_world = world(CALL, ANSWER)
    run_virtual(work(in_world))
    assert [roles(request) for request in in_world.target.requests] == [["user"], ["user", "assistant", "tool"]]
    assert in_world.target.requests[1][2]["content"] == "seen"


def test_several_user_turns_are_handed_over_one_after_the_other() -> None:
    in_world = world(CALL, ANSWER, ANSWER, CALL, ANSWER)
    trajectory = run_virtual(work(in_world, num_user_turns=3))
    assert trajectory.status is Status.FINISHED
    assert trajectory.user_turn_of == (0, 0, 1, 2, 2)
    last = in_world.target.requests[-1]
    assert [message["content"] for message in last if message["role"] == "user"] == [
        "question 0",
        "question 1",
        "question 2",
    ]
    assert roles(last[:6]) == ["user", "assistant", "tool", "assistant", "user", "assistant"]


def test_the_limit_of_turns_ends_the_trajectory_and_later_user_turns_are_not_asked() -> None:
    in_world = world(CALL, CALL)
    trajectory = run_virtual(work(in_world, num_user_turns=2, max_turns=2))
    assert trajectory.status is Status.TURN_LIMIT
    assert len(trajectory.turns) == 2
    assert in_world.ends() == [("turn_limit", None)]


def test_the_limit_of_turns_holds_for_each_user_turn_anew() -> None:
    in_world = world(CALL, ANSWER, CALL, ANSWER)
    assert run_virtual(work(in_world, num_user_turns=2, max_turns=2)).status is Status.FINISHED


def test_an_answer_in_the_last_allowed_turn_is_an_answer() -> None:
    assert run_virtual(work(world(ANSWER), max_turns=1)).status is Status.FINISHED


def test_a_failed_backend_ends_the_trajectory_with_what_it_had() -> None:
    in_world = world(CALL, BROKEN)
    trajectory = run_virtual(work(in_world, num_user_turns=2))
    assert (trajectory.status, trajectory.error) == (Status.FAILED, "the engine is dead")
    assert len(trajectory.turns) == 1
    assert in_world.ends() == [("failed", "the engine is dead")]


def test_after_a_failure_nothing_that_speculation_started_goes_on() -> None:
    in_world = world(BROKEN)
    draft = ScriptedDraft(turns=[[GUESS, ScriptedSample(delay_s=60.0)]])
    trajectory = run_virtual(work(in_world, draft=draft))
    assert trajectory.status is Status.FAILED
    assert trajectory.finished_s == 2.0, "it does not wait for the tool's 10 seconds"
    assert (in_world.num_left, draft.num_running) == (0, 0)
    assert Ledger.from_events(in_world.events).num_cancelled == 1


def test_speculation_overlaps_the_tool_with_the_target_and_leaves_the_turns_alone() -> None:
    alone, beside = world(CALL, ANSWER), world(CALL, ANSWER)
    base = run_virtual(work(alone))
    spec = run_virtual(work(beside, draft=ScriptedDraft(turns=[[GUESS], []])))
    assert beside.target.requests == alone.target.requests
    assert (base.duration_s, spec.duration_s) == (13.0, 0.5 + 10.0 + 1.0)
    assert beside.num_left == 0


def test_a_cancelled_trajectory_is_recorded_as_not_finished_and_leaves_nothing_running() -> None:
    in_world = world(CALL, ANSWER)
    draft = ScriptedDraft(turns=[[GUESS]])

    async def interrupted() -> float:
        running = asyncio.create_task(work(in_world, draft=draft))
        await asyncio.sleep(1.0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert running.cancelled()
        assert len(asyncio.all_tasks()) == 1
        return now_s()

    assert run_virtual(interrupted()) == 1.0
    assert in_world.ends() == [("failed", None)]
    assert Ledger.from_events(in_world.events).num_cancelled == 1


def test_a_tool_that_raises_is_an_observation_and_not_the_end() -> None:
    unknown = ScriptedGeneration(duration_s=1.0, calls=(ToolCall(name="gone", arguments="{}"),))
    trajectory = run_virtual(work(world(unknown, ANSWER)))
    assert trajectory.status is Status.FINISHED
    assert trajectory.turns[0].observations[0].is_error


@pytest.mark.parametrize("max_turns", [0, -1])
def test_a_limit_below_one_turn_is_refused(max_turns: int) -> None:
    with pytest.raises(ConfigError, match=rf"agent\.max_turns is {max_turns}; it must be at least 1"):
        FunctionCallingAgent(max_turns)


def test_a_response_of_several_turns_stops_at_the_limit_as_separate_responses_do() -> None:
    separate = world(CALL, CALL, CALL)
    together = World(target=ScriptedTarget([[CALL, CALL, CALL, ANSWER]]))
    one_by_one = run_virtual(work(separate, max_turns=2))
    at_once = run_virtual(work(together, max_turns=2))
    assert one_by_one.status is at_once.status is Status.TURN_LIMIT
    assert [turn.generation.tool_calls for turn in at_once.turns] == [
        turn.generation.tool_calls for turn in one_by_one.turns
    ]
    assert together.num_left == 0
