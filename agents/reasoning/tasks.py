"""The reasoning agent: think, run Python or search, answer. It is the shared loop with these prompts, tools and end."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from agents.reasoning.judges import Judge
from agents.sandbox.sandbox import Sandbox
from agents.task import Environment, Task
from agents.tools.python import interpreter_limits, open_python, python_tool
from agents.tools.search import Corpus, search_tool
from agents.trajectory import Grade, Status, Trajectory
from precall.tools import Tool

MATH_PROMPT = (
    "Solve the problem. Think step by step, and use the tool `python` for every calculation that is not trivial. When "
    "you are sure, give the final answer alone, in \\boxed{}, without calling a tool."
)
QUESTION_PROMPT = (
    "Answer the question from the collection of paragraphs that the tool `search` looks through. Search for one fact "
    "at a time: what you find first often names what to search for next. The tool `python` is there for calculations. "
    "When you are sure, answer without calling a tool; the last line of your answer is 'Answer: ' and the shortest "
    "answer there is: a name, a number, yes or no."
)


def math_task(task_id: str, problem: str, judge: Judge) -> Task:
    """Return the task to solve a problem with Python."""
    return _task(task_id, MATH_PROMPT, problem, judge, None)


def question_task(task_id: str, question: str, judge: Judge, corpus: Callable[[], Corpus]) -> Task:
    """Return the task to answer a question from a corpus, which is asked for when it is needed."""
    return _task(task_id, QUESTION_PROMPT, question, judge, corpus)


def _task(task_id: str, prompt: str, text: str, judge: Judge, corpus: Callable[[], Corpus] | None) -> Task:
    def searching() -> tuple[Tool, ...]:
        return () if corpus is None else (search_tool(corpus()),)

    async def grade(trajectory: Trajectory) -> Grade:
        has_answered = trajectory.status is Status.FINISHED
        return await judge(trajectory.turns[-1].generation.content if has_answered else "")

    @asynccontextmanager
    async def environment() -> AsyncIterator[Environment]:
        async with open_python(Sandbox(interpreter_limits())) as python:
            yield Environment(tools=(python, *searching()), grade=grade)

    return Task(
        task_id=task_id,
        user_turns=(({"role": "system", "content": prompt}, {"role": "user", "content": text}),),
        make_tools=lambda: (python_tool(None), *searching()),
        environment=environment,
    )
