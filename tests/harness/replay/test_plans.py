"""Plans: what is read from a file, and what is refused."""

from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agents.task import Environment, Task
from agents.trajectory import Grade, Trajectory
from harness.replay.plans import observe, read_plans, without_observations
from precall.calls import ToolCall
from precall.errors import ConfigError
from precall.tools import Effect, Tool

ADD = Tool(
    name="add",
    description="",
    parameters={
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a"],
    },
    function=lambda a, b=1: a + b,
    effect=Effect.PURE,
)


def task_with(answer: str = "3") -> Task:
    async def grade(trajectory: Trajectory) -> Grade:
        return Grade(is_solved=trajectory.turns[-1].generation.content.strip() == answer)

    @asynccontextmanager
    async def environment():
        yield Environment(tools=(ADD,), grade=grade)

    return Task(
        task_id="sum",
        user_turns=(({"role": "user", "content": "1 and 2?"},),),
        make_tools=lambda: (ADD,),
        environment=environment,
    )


PLAN = """
sum:
  - reason: I add.
    call: {add: {a: 1, b: 2}}
    drafts: [same, {add: 2}, none]
  - reason: Done.
    answer: "3"
    drafts: [none, same, {add: 3}]
"""


def read(folder: Path, text: str):
    (folder / "plans.yaml").write_text(text)
    return read_plans(folder, [task_with()])


def test_a_plan_is_read_with_shorthands(tmp_path: Path) -> None:
    first, last = read(tmp_path, PLAN)["sum"].turns
    call = ToolCall(name="add", arguments='{"a": 1, "b": 2}')
    assert (first.reasoning, first.content, first.calls) == ("\nI add.\n", "\n\n", (call,))
    assert first.draft_samples == ((call,), (ToolCall(name="add", arguments='{"a": 2}'),), ())
    assert (last.content, last.calls, last.observations) == ("\n\n3", (), None)
    assert last.draft_samples == ((), (), (ToolCall(name="add", arguments='{"a": 3}'),))


async def test_the_tools_say_what_is_observed(tmp_path: Path) -> None:
    plan = read(tmp_path, PLAN)["sum"]
    observed = await observe(task_with(), plan, max_turns=5)
    ((observation,), nothing) = (turn.observations for turn in observed.turns)
    assert (observation.content, nothing) == ("3", ())
    assert observation.duration_s is not None
    assert without_observations(observed) == plan


async def test_a_plan_that_does_not_solve_its_task_or_does_not_end_is_refused(tmp_path: Path) -> None:
    plan = read(tmp_path, PLAN)["sum"]
    with pytest.raises(ConfigError, match="The plan of sum does not solve it"):
        await observe(task_with(answer="4"), plan, max_turns=5)
    with pytest.raises(ConfigError, match="ends as turn_limit after 1 of 2 turns"):
        await observe(task_with(), plan, max_turns=1)
    endless = read(tmp_path, PLAN.replace('answer: "3"', "call: {add: 3}"))["sum"]
    with pytest.raises(ConfigError, match=r"ends as failed after 2 of 2 turns .*asks for another"):
        await observe(task_with(), endless, max_turns=5)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("sum:", "other:", "other is no task of this workload"),
        ('answer: "3"', "answer: 3", "sum, turn 1: answer is 3; it must be a text"),
        ('answer: "3"', "", r"turn 1: it has \['drafts', 'reason'\]"),
        ('answer: "3"', 'answer: "3"\n    call: {add: 1}', "turn 1: it has"),
        ("call: {add: {a: 1, b: 2}}", "call: {subtract: 1}", r"turn 0: \{'subtract': 1\} is no call"),
        ("{add: 2}", "maybe", "turn 0: 'maybe' is no call"),
    ],
)
def test_what_is_not_in_the_form_is_named(tmp_path: Path, old: str, new: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        read(tmp_path, PLAN.replace(old, new))
