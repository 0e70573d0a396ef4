"""Trajectories of the reasoning agent with a scripted model and the real tools, and the judges of their answers."""

import json

import pytest

from agents.function_calling import FunctionCallingAgent
from agents.reasoning.judges import is_same_expression, judge_of_expression, judge_of_number, judge_of_words
from agents.reasoning.tasks import math_task, question_task
from agents.tools.search import Corpus, Paragraph
from agents.trajectory import Status
from precall.calls import ToolCall
from precall.events import Event, EventKind, EventRecorder
from precall.policy import LaunchPolicy
from precall.speculation import ClientSpeculation, NoSpeculation
from precall.testing.scripted import ScriptedDraft, ScriptedGeneration, ScriptedSample, ScriptedTarget
from precall.tools import Effect, run_tool
from tests.agents.sandbox.sandboxes import interpreters

PARAGRAPHS = [
    Paragraph(title="Cantle Bridge", text="It was designed by Ines Varrow."),
    Paragraph(title="Ines Varrow", text="She was born in Linfell."),
    Paragraph(title="Linfell", text="A town of 8,400 people."),
]


def call(name, **arguments):
    return ToolCall(name=name, arguments=json.dumps(arguments))


async def solve(task, script, predicted=None, max_turns=20):
    """Let a scripted model work on `task`; return the trajectory and the events."""
    events: list[Event] = []
    recorder = EventRecorder("arm/t", events.append)
    speculation = NoSpeculation()
    if predicted is not None:
        draft = ScriptedDraft(turns=[[ScriptedSample(delay_s=0.0, calls=tuple(calls))] for calls in predicted])
        speculation = ClientSpeculation(draft, LaunchPolicy(), run_tool, recorder)
    generations = [
        ScriptedGeneration(duration_s=0.05, calls=(said,))
        if isinstance(said, ToolCall)
        else ScriptedGeneration(duration_s=0.0, content=said)
        for said in script
    ]
    trajectory = await FunctionCallingAgent(max_turns).run(
        task,
        target=ScriptedTarget([[generation] for generation in generations]),
        speculation=speculation,
        executor=run_tool,
        recorder=recorder,
    )
    return trajectory, events


MATH_SCRIPT = [
    call("python", code="n = 0"),
    call("python", code="n = n + 21\nn"),
    call("python", code="n * 2"),
    r"\boxed{42}",
]
MATH_GUESSES = [
    [call("python", code="n = 0"), call("python", code="n = 1")],
    [call("python", code="del n"), call("python", code="n = n + 21\nn")],
    [call("python", code="n * 3")],
]


async def test_a_problem_is_solved_with_python_and_graded():
    trajectory, _ = await solve(math_task("t", "What is 2 * 21?", judge_of_number("42")), MATH_SCRIPT)
    assert [turn.observations[0].content for turn in trajectory.turns[:3]] == ["", "21\n", "42\n"]
    assert trajectory.grade is not None and trajectory.grade.is_solved
    assert trajectory.grade.details == {"answer": "42", "gold": "42"}
    assert interpreters() == []


async def test_predicted_snippets_run_ahead_and_change_nothing_of_the_trajectory():
    task = math_task("t", "What is 2 * 21?", judge_of_number("42"))
    off, _ = await solve(task, MATH_SCRIPT)
    on, events = await solve(task, MATH_SCRIPT, MATH_GUESSES)
    assert on.messages == off.messages
    assert on.grade == off.grade
    outcomes = [event.data["outcome"] for event in events if event.kind is EventKind.CALL_SETTLED]
    assert outcomes == ["ready_hit", "ready_hit", "miss"]


async def test_a_question_is_answered_by_searching_twice():
    task = question_task("t", "Where was the designer of Cantle Bridge born?", judge_of_words("Linfell"), _corpus)
    script = [
        call("search", query="Cantle Bridge designer"),
        call("search", query="Ines Varrow born"),
        "Answer: linfell.",
    ]
    trajectory, _ = await solve(task, script)
    assert trajectory.turns[0].observations[0].content.startswith("[Cantle Bridge]\nIt was designed by Ines Varrow.")
    assert "[Ines Varrow]\nShe was born in Linfell." in trajectory.turns[1].observations[0].content
    assert trajectory.grade is not None and trajectory.grade.is_solved


def _corpus():
    return Corpus(PARAGRAPHS)


async def test_a_trajectory_without_an_answer_is_not_solved():
    task = math_task("t", "?", judge_of_number("42"))
    trajectory, _ = await solve(task, [call("python", code=r"print('\\boxed{42}')")] * 2, max_turns=2)
    assert trajectory.status is Status.TURN_LIMIT
    assert trajectory.grade is not None and not trajectory.grade.is_solved


async def test_every_trajectory_has_an_interpreter_of_its_own():
    task = math_task("t", "?", judge_of_number("1"))
    first, _ = await solve(task, [call("python", code="x = 1"), "no"])
    second, _ = await solve(task, [call("python", code="x"), "no"])
    assert first.turns[0].observations[0].content == ""
    assert "NameError" in second.turns[0].observations[0].content


def test_the_tools_can_be_read_without_an_environment():
    task = question_task("t", "?", judge_of_words("x"), _corpus)
    python, search = task.make_tools()
    assert (python.name, python.effect, python.fork is not None) == ("python", Effect.WORKSPACE, True)
    assert (search.name, search.effect) == ("search", Effect.PURE)
    assert [tool.name for tool in math_task("t", "?", judge_of_number("1")).make_tools()] == ["python"]


@pytest.mark.parametrize(
    ("text", "is_solved"),
    [
        (r"\boxed{1,000}", True),
        (r"\boxed{1000.0}", True),
        (r"\boxed{1001}", False),
        ("1000", False),
        (r"\boxed{x}", False),
    ],
)
async def test_a_number_is_judged_by_its_value(text, is_solved):
    assert (await judge_of_number("1000")(text)).is_solved is is_solved


def test_a_gold_answer_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="must be a number"):
        judge_of_number("x")


async def test_words_are_judged_by_exact_match_with_f1_beside():
    grade = await judge_of_words("Linfell")("Answer: Linfell town")
    assert not grade.is_solved
    assert grade.details["f1"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("gold", "answer", "is_same"),
    [
        (r"\frac{1}{2}", "0.5", True),
        (r"3\sqrt{2}", r"\sqrt{18}", True),
        ("(1,2)", "(2,1)", False),
        ("5", "'; import os; os.abort()", False),
    ],
)
async def test_expressions_are_compared_as_mathematics(gold, answer, is_same):
    assert await is_same_expression(gold, answer) is is_same


async def test_an_equal_text_or_no_answer_is_judged_without_computing(monkeypatch):
    monkeypatch.setattr("agents.reasoning.judges.is_same_expression", None)
    judge = judge_of_expression(r"\frac{1}{2}")
    assert (await judge(r"\boxed{\frac{1}{2}}")).is_solved
    assert not (await judge("I do not know.")).is_solved
