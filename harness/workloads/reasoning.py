"""Tasks of the reasoning agent: four data sets of the hub, and our own problems and questions in the same schemas.

The fields that are read, as the hub has them:

    openai/gsm8k (main, test)               question, answer ("... #### 42")
    HuggingFaceH4/MATH-500 (test)           problem, answer (LaTeX), unique_id
    math-ai/aime25 (test)                   problem, answer ("42"), id
    hotpotqa/hotpot_qa (distractor,         id, question, answer, context: {title: [...], sentences: [[...], ...]}
      validation)

A question of HotpotQA brings the paragraphs that its tool searches.
"""

import json
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from agents.reasoning.answers import gsm8k_answer
from agents.reasoning.judges import judge_of_expression, judge_of_number, judge_of_words
from agents.reasoning.tasks import math_task, question_task
from agents.task import Task
from agents.tools.search import Corpus, Paragraph
from harness.workloads.rows import Row, read_rows
from precall.errors import ConfigError

LOCAL = Path(__file__).with_name("reasoning_local")
_PARTS = {
    "gsm8k": ("main", "test"),
    "math500": (None, "test"),
    "aime": (None, "test"),
    "hotpotqa": ("distractor", "validation"),
}


def load_reasoning(kind: str, dataset: str) -> list[Task]:
    """Return all tasks of a data set: `kind` is gsm8k, math500, aime or hotpotqa and says its schema; `dataset` is its
    name on the hub, or a file of JSON lines.

    Raises ConfigError when it cannot be read, or a row does not have the schema.
    """
    make = _TASKS[kind]
    subset, split = _PARTS[kind]
    return _tasks(dataset, read_rows(dataset, split, subset), lambda index, row: make(f"{kind}_{index}", row))


def load_local() -> list[Task]:
    """Return our own tasks: problems in the schemas of GSM8K and MATH, and questions in that of HotpotQA over one
    corpus."""
    problems = _local_rows("gsm8k.jsonl"), _local_rows("math500.jsonl")
    return [
        *(_gsm8k_task(f"reasoning_local_gsm8k_{index}", row) for index, row in enumerate(problems[0])),
        *(_math500_task("", row) for row in problems[1]),
        *(_question(_text(row, "id"), row, local_corpus) for row in _local_rows("questions.jsonl")),
    ]


@cache
def local_corpus() -> Corpus:
    """Return the corpus of our own questions: paragraphs on a made-up island."""
    rows = _local_rows("corpus.jsonl")
    return _corpus([row["title"] for row in rows], [row["sentences"] for row in rows])


def _gsm8k_task(task_id: str, row: Row) -> Task:
    return math_task(task_id, _text(row, "question"), judge_of_number(gsm8k_answer(_text(row, "answer"))))


def _math500_task(_: str, row: Row) -> Task:
    task_id = _text(row, "unique_id").removesuffix(".json").replace("/", "_")
    return math_task(task_id, _text(row, "problem"), judge_of_expression(_text(row, "answer")))


def _aime_task(task_id: str, row: Row) -> Task:
    return math_task(task_id, _text(row, "problem"), judge_of_number(_text(row, "answer")))


def _hotpotqa_task(_: str, row: Row) -> Task:
    titles, sentences = row["context"]["title"], row["context"]["sentences"]
    # Made when the task is worked on: there are thousands.
    return _question(_text(row, "id"), row, cache(lambda: _corpus(titles, sentences)))


def _question(task_id: str, row: Row, corpus: Callable[[], Corpus]) -> Task:
    return question_task(task_id, _text(row, "question"), judge_of_words(_text(row, "answer")), corpus)


_TASKS: dict[str, Callable[[str, Row], Task]] = {
    "gsm8k": _gsm8k_task,
    "math500": _math500_task,
    "aime": _aime_task,
    "hotpotqa": _hotpotqa_task,
}


def _text(row: Row, field: str) -> str:
    text = row[field]
    if not isinstance(text, str) or not text:
        raise ValueError(f"{field} is {text!r}; it must be a text.")
    return text


def _corpus(titles: Iterable[str], sentences: Iterable[Iterable[str]]) -> Corpus:
    pairs = zip(titles, sentences, strict=True)
    return Corpus([Paragraph(title=title, text="".join(parts).strip()) for title, parts in pairs])


def _tasks(dataset: str, rows: Iterable[Row], make: Callable[[int, Row], Task]) -> list[Task]:
    tasks = []
    for index, row in enumerate(rows):
        try:
            tasks.append(make(index, row))
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"Row {index} of {dataset} does not have the schema: {type(error).__name__}: {error}. "
                "harness/workloads/reasoning.py lists the fields."
            ) from error
    return tasks


def _local_rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (LOCAL / name).read_text(encoding="utf-8").splitlines()]
