"""Judges of final answers: is it the number, is it the same expression, are they the same words?"""

import json
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from agents.reasoning.answers import as_number, boxed_answer, f1_score, marked_answer, normalized
from agents.sandbox.identity import give_to_sandbox
from agents.sandbox.launch import ReadOnly
from agents.sandbox.sandbox import Sandbox
from agents.trajectory import Grade

Judge = Callable[[str], Awaitable[Grade]]
"""From the last turn's text to its grade."""

_TIMEOUT_S = 60.0
# Math-Verify parses LaTeX and simplifies the difference; what a model writes can make that arbitrarily dear, so it runs
# in the sandbox, under its limits.
_COMPARE = """
import json, sys
from math_verify import parse, verify
gold, answer = (parse(f"${text}$") for text in json.loads(sys.argv[1]))
print(verify(gold, answer))
"""


def judge_of_number(gold: str) -> Judge:
    """Return the judge for GSM8K and AIME: the answer in `\\boxed{}` is the number `gold`. Raises ValueError when that
    is none."""
    wanted = as_number(gold)
    if wanted is None:
        raise ValueError(f"The accepted answer is {gold!r}; it must be a number.")

    async def judge(text: str) -> Grade:
        answer = boxed_answer(text)
        is_solved = answer is not None and as_number(answer) == wanted
        return Grade(is_solved=is_solved, details={"answer": answer, "gold": gold})

    return judge


def judge_of_expression(gold: str) -> Judge:
    """Return the judge for MATH: the answer in `\\boxed{}` is mathematically the same as `gold`, in LaTeX."""

    async def judge(text: str) -> Grade:
        answer = boxed_answer(text)
        is_solved = answer is not None and (answer == gold or await is_same_expression(gold, answer))
        return Grade(is_solved=is_solved, details={"answer": answer, "gold": gold})

    return judge


async def is_same_expression(gold: str, answer: str) -> bool:
    """Whether two mathematical expressions in LaTeX are the same. What cannot be compared in time is not."""
    with tempfile.TemporaryDirectory() as name:
        give_to_sandbox(Path(name))
        command = ["python", "-I", "-c", _COMPARE, json.dumps([gold, answer])]
        finished = await Sandbox().run(command, ReadOnly(folder=Path(name)), timeout_s=_TIMEOUT_S)
    return finished.stdout.strip() == "True"


def judge_of_words(gold: str) -> Judge:
    """Return the judge for HotpotQA: the answer after `Answer:` is `gold`, normalized (exact match); the details have
    F1, too."""

    async def judge(text: str) -> Grade:
        answer = marked_answer(text)
        is_solved = answer is not None and normalized(answer) == normalized(gold)
        f1 = 0.0 if answer is None else f1_score(answer, gold)
        return Grade(is_solved=is_solved, details={"answer": answer, "gold": gold, "f1": f1})

    return judge
