"""What a trajectory works in: opened before it, graded when nothing runs in it any more, closed however it ends."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from agents.function_calling import FunctionCallingAgent
from agents.task import Environment, Step, Task, until_answer
from agents.trajectory import Grade, Status, Trajectory
from precall.calls import ToolCall
from precall.events import Event, EventKind, EventRecorder, now_s
from precall.policy import LaunchPolicy
from precall.speculation import ClientSpeculation, NoSpeculation, Speculation
from precall.testing.scripted import ScriptedDraft, ScriptedGeneration, ScriptedSample, ScriptedTarget
from precall.testing.virtual_time import run_virtual
from precall.tools import Effect, Tool, run_tool
from precall.turn import Turn

CALL = ScriptedGeneration(duration_s=2.0, calls=(ToolCall(name="look", arguments="{}"),))
ANSWER = ScriptedGeneration(duration_s=1.0, content="done")
BROKEN = ScriptedGeneration(duration_s=1.0, failure="the engine is dead")
GUESS = ScriptedSample(delay_s=0.1, calls=(ToolCall(name="look", arguments='{"x": 1}'),))


@dataclass(slots=True, kw_only=True)
class World:
    """What has happened, in order; the tool takes 10 seconds, and its end is noted when it is stopped, too."""

    log: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    num_running: int = 0

    async def look(self, **_: Any) -> str:
        self.num_running += 1
        try:
            await asyncio.sleep(10.0)
        finally:
            self.num_running -= 1
        return "seen"

    @asynccontextmanager
    async def environment(self) -> AsyncGenerator[Environment, None]:
        self.log.append("opened")
        await asyncio.sleep(5.0)
        tool = Tool(name="look", description="", parameters={"type": "object"}, function=self.look, effect=Effect.READ)
        try:
            yield Environment(tools=(tool,), grade=self.grade)
        finally:
            self.log.append("closed")

    async def grade(self, trajectory: Trajectory) -> Grade:
        assert self.num_running == 0
        self.log.append(f"graded {trajectory.status}")
        await asyncio.sleep(3.0)
        return Grade(is_solved=True, workspace_hash="abc", details={"passed": ["test_a"]})

    def data(self, kind: EventKind) -> list[dict[str, Any]]:
        return [event.data for event in self.events if event.kind is kind]


async def work(
    world: World,
    *script: ScriptedGeneration | Sequence[ScriptedGeneration],
    after_turn: Callable[[Sequence[Turn]], Step] = until_answer,
    draft: ScriptedDraft | None = None,
    num_user_turns: int = 1,
) -> tuple[Trajectory, ScriptedTarget]:
    task = Task(
        task_id="t",
        user_turns=(({"role": "user", "content": "go"},),) * num_user_turns,
        make_tools=lambda: (),
        environment=world.environment,
        after_turn=after_turn,
    )
    recorder = EventRecorder("spec-1/t", world.events.append)
    speculation: Speculation = NoSpeculation()
    if draft is not None:
        speculation = ClientSpeculation(draft, LaunchPolicy(), run_tool, recorder)
    target = ScriptedTarget([[each] if isinstance(each, ScriptedGeneration) else each for each in script])
    agent = FunctionCallingAgent(4)
    trajectory = await agent.run(task, target=target, speculation=speculation, executor=run_tool, recorder=recorder)
    return trajectory, target


def test_a_trajectory_is_graded_at_its_end_and_neither_that_nor_opening_counts_in_its_time() -> None:
    world = World()
    trajectory, _ = run_virtual(work(world, CALL, ANSWER))
    assert world.log == ["opened", "graded finished", "closed"]
    assert trajectory.grade == Grade(is_solved=True, workspace_hash="abc", details={"passed": ["test_a"]})
    assert (trajectory.started_s, trajectory.duration_s) == (5.0, 2.0 + 10.0 + 1.0)
    assert world.data(EventKind.TRAJECTORY_GRADED) == [
        {"is_solved": True, "workspace_hash": "abc", "duration_s": 3.0, "details": {"passed": ["test_a"]}}
    ]


def test_what_is_graded_is_not_running_any_more() -> None:
    world = World()
    run_virtual(work(world, ANSWER, draft=ScriptedDraft(turns=[[GUESS]])))
    assert world.log[1:] == ["graded finished", "closed"], "the judge itself asserts that no tool runs"
    assert len(world.data(EventKind.EXECUTION_LAUNCHED)) == 1


def test_what_a_failed_backend_leaves_is_not_graded_and_the_environment_is_closed() -> None:
    world = World()
    trajectory, _ = run_virtual(work(world, CALL, BROKEN))
    assert (trajectory.status, trajectory.grade) == (Status.FAILED, None)
    assert world.log == ["opened", "closed"]


def test_a_cancelled_trajectory_closes_its_environment() -> None:
    world = World()

    async def interrupted() -> float:
        running = asyncio.create_task(work(world, CALL, ANSWER, draft=ScriptedDraft(turns=[[GUESS]])))
        await asyncio.sleep(6.0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return now_s()

    assert run_virtual(interrupted()) == 6.0
    assert (world.log, world.num_running) == (["opened", "closed"], 0)


def test_a_task_can_answer_a_turn_and_have_the_target_go_on() -> None:
    def insist(turns: Sequence[Turn]) -> Step:
        if turns[-1].generation.tool_calls:
            return Status.FINISHED
        return Status.FORMAT_ERRORS if len(turns) == 3 else ({"role": "user", "content": "Call a tool!"},)

    trajectory, target = run_virtual(work(World(), ANSWER, CALL, after_turn=insist))
    assert trajectory.status is Status.FINISHED
    assert [message["content"] for message in target.requests[1]] == ["go", "done", "Call a tool!"]
    assert [message["role"] for message in trajectory.messages] == ["user", "assistant", "user", "assistant", "tool"]
    world = World()
    trajectory, _ = run_virtual(work(world, ANSWER, ANSWER, ANSWER, after_turn=insist, num_user_turns=2))
    assert (trajectory.status, len(trajectory.turns)) == (Status.FORMAT_ERRORS, 3)
    assert world.log == ["opened", "graded format_errors", "closed"]


def test_an_end_in_the_middle_of_a_response_leaves_the_rest_of_it_alone() -> None:
    def at_once(turns: Sequence[Turn]) -> Step:
        return Status.FINISHED

    trajectory, _ = run_virtual(work(World(), [CALL, CALL, ANSWER], after_turn=at_once))
    assert (trajectory.status, len(trajectory.turns)) == (Status.FINISHED, 1)


def test_a_reply_in_the_middle_of_a_response_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="in the middle of a response"):
        run_virtual(work(World(), [CALL, ANSWER], after_turn=lambda turns: ({"role": "user", "content": "?"},)))
