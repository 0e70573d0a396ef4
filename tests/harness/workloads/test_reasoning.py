"""The reasoning tasks: our own answers found anew by other means, and the loaders on files in the hub's schemas."""

import json
import re

import datasets
import pytest

from agents.reasoning.answers import gsm8k_answer
from agents.tools.search import Corpus
from harness.workloads.reasoning import LOCAL, load_local, load_reasoning, local_corpus
from precall.errors import ConfigError
from tests.harness.workloads.reference_programs import PROGRAMS


def rows_of(name):
    return [json.loads(line) for line in (LOCAL / name).read_text(encoding="utf-8").splitlines()]


GSM8K, MATH, QUESTIONS, CORPUS = (rows_of(f"{name}.jsonl") for name in ("gsm8k", "math500", "questions", "corpus"))
SENTENCES = {paragraph["title"]: paragraph["sentences"] for paragraph in CORPUS}
NAME = r"([A-Z]\w+(?: (?:of )?[A-Z]\w+)*)"

# Where each question begins, and patterns that lead from one paragraph to the next: what the last one finds is the
# answer. Several chains give the values that are compared.
CHAINS = [
    [("Cantle Bridge", rf"designed by {NAME}", rf"born in {NAME}")],
    [("The Salt Almanac", rf"set in {NAME}", rf"mouth of the river {NAME}")],
    [("Nine Lanterns", rf"keeper of {NAME}", r"stands (\d+) metres")],
    [("Comet Ardley", rf"discovered at {NAME}", rf"belongs to {NAME}", rf"by the printer {NAME}")],
    [("Lucan Ardley", rf"composer {NAME}", rf"opera {NAME} was", rf"poet {NAME} after")],
    [("Ashgrove Museum", rf"owner {NAME}", rf"held the {NAME} mine", r"closed in (\d+)")],
    [("Cantle Bridge", r"completed in (\d+)"), ("Morrow Viaduct", r"completed in (\d+)")],
    [("Gannet Light", r"first lit in (\d+)"), ("Harrow Light", r"first lit in (\d+)")],
    [("Sunniva Ardley", rf"born in {NAME}"), ("The Glass Harvest", rf"music is by {NAME}", rf"born in {NAME}")],
    [("River Arle", rf"rises on {NAME}", rf"climbed by {NAME}", rf"born in {NAME}")],
    [("Prudence Achard", rf"of which the {NAME} was the largest", rf"lost off {NAME}")],
    [("Harrow Light", rf"lens was made by {NAME}", rf"born in {NAME}")],
    [("Marrowick Courant", rf"printed at the {NAME}", r"founded in (\d+)"), ("Lyle Press", r"closed in (\d+)")],
    [
        ("Quillhaven University", rf"printer {NAME}", rf"first atlas of {NAME}"),
        ("Atlas of Orvane", rf"engraved by {NAME}"),
    ],
    [("Little Wend", rf"hectares in {NAME}", rf"fed by the {NAME}", r"(\d+) kilometres long")],
]


def follow(title, *patterns):
    """Return what the last pattern finds, each being looked for in the paragraph that the one before it named."""
    found = title
    for pattern in patterns:
        matches = re.findall(pattern, "".join(SENTENCES[found]))
        assert len(matches) == 1, f"{pattern} finds {matches} in {found}"
        found = matches[0]
    return found


def answer_of(number, found):
    """Return the answer that the values at the chains' ends give."""
    match number:
        case 6:
            return "Cantle Bridge" if int(found[0]) < int(found[1]) else "Morrow Viaduct"
        case 7:
            return "yes" if int(found[0]) < int(found[1]) else "no"
        case 8:
            return "yes" if found[0] == found[1] else "no"
        case 12:
            return str(int(found[1]) - int(found[0]))
        case _:
            return found[-1]


@pytest.mark.parametrize("number", range(len(QUESTIONS)))
def test_a_chain_of_paragraphs_leads_to_the_answer_of_every_question(number):
    found = [follow(*chain) for chain in CHAINS[number]]
    assert answer_of(number, found) == QUESTIONS[number]["answer"]


@pytest.mark.parametrize("row", QUESTIONS, ids=lambda row: row["id"])
def test_the_supporting_facts_of_every_question_are_in_the_corpus_and_can_be_searched(row):
    facts = list(zip(row["supporting_facts"]["title"], row["supporting_facts"]["sent_id"], strict=True))
    assert len({title for title, _ in facts}) > 1, "one paragraph is enough to answer it"
    for title, number in facts:
        assert SENTENCES[title][number]
        assert title in [paragraph.title for paragraph in local_corpus().search(title)]
    last = "".join(SENTENCES[title][number] for title, number in facts)
    if row["answer"] not in ("yes", "no", "353"):
        assert row["answer"] in last


def test_the_first_paragraph_of_a_question_is_found_by_its_words():
    for row in QUESTIONS:
        found = {paragraph.title for paragraph in local_corpus().search(row["question"])}
        assert found & set(row["supporting_facts"]["title"]), row["question"]


def test_the_corpus_has_each_title_once():
    assert len(SENTENCES) == len(CORPUS) >= 60


def test_whoever_is_born_or_works_somewhere_is_in_the_corpus_with_the_place():
    places = re.findall(rf"born in {NAME}", "".join("".join(sentences) for sentences in SENTENCES.values()))
    assert len(places) > 12 and set(places) <= set(SENTENCES)


ANSWERS = [*(gsm8k_answer(row["answer"]) for row in GSM8K), *(row["answer"] for row in MATH)]


@pytest.mark.parametrize(("name", "answer"), list(zip(PROGRAMS, ANSWERS, strict=True)))
def test_a_program_finds_the_answer_of_every_problem(name, answer):
    assert str(PROGRAMS[name]()) == answer


def test_the_solutions_end_in_the_answers():
    for row in MATH:
        assert row["solution"].endswith(f"$\\boxed{{{row['answer']}}}$.")


async def test_our_own_tasks_have_ids_of_their_own_and_the_tools_that_they_need():
    tasks = load_local()
    assert len({task.task_id for task in tasks}) == len(tasks) >= 24
    tools = [[tool.name for tool in task.make_tools()] for task in tasks]
    assert tools.count(["python"]) >= 12 and tools.count(["python", "search"]) >= 12


CONTEXT = {"title": ["One", "Two"], "sentences": [["One is by Ann.", " It is old."], ["Ann was born in Bar."]]}
HOTPOTQA = {
    "id": "5a8b57f25542995d1e6f1371",
    "question": "Where was the maker of One born?",
    "answer": "Bar",
    "type": "bridge",
    "level": "hard",
    "supporting_facts": {"title": ["One", "Two"], "sent_id": [0, 0]},
    "context": CONTEXT,
}
ROWS = {
    "gsm8k": {"question": "How many are 2 and 3?", "answer": "2 + 3 = <<2+3=5>>5\n#### 5"},
    "math500": {**MATH[0], "unique_id": "test/algebra/1.json"},
    "aime": {"problem": "Find 2 + 3.", "answer": "5", "id": "0"},
    "hotpotqa": HOTPOTQA,
}
IDS = {"gsm8k": "gsm8k_0", "math500": "test_algebra_1", "aime": "aime_0", "hotpotqa": HOTPOTQA["id"]}


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def write(*rows):
        file = tmp_path / "rows.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(file)

    return write


@pytest.mark.parametrize("kind", ROWS)
def test_a_file_in_the_schema_of_a_data_set_gives_its_tasks(kind, write):
    (task,) = load_reasoning(kind, write(ROWS[kind]))
    assert task.task_id == IDS[kind]
    system, user = task.user_turns[0]
    assert system["role"] == "system"
    assert user["content"] == ROWS[kind].get("question", ROWS[kind].get("problem"))


def test_a_question_of_hotpotqa_searches_its_own_paragraphs(write, monkeypatch):
    made = []
    monkeypatch.setattr(
        "harness.workloads.reasoning.Corpus", lambda paragraphs: made.append(paragraphs) or Corpus(paragraphs)
    )
    (task,) = load_reasoning("hotpotqa", write(HOTPOTQA))
    assert made == [], "an index is made when the task is worked on"
    task.make_tools()
    task.make_tools()
    assert [[(p.title, p.text) for p in paragraphs] for paragraphs in made] == [
        [("One", "One is by Ann. It is old."), ("Two", "Ann was born in Bar.")]
    ]


@pytest.mark.parametrize(
    ("kind", "row", "text"),
    [
        ("gsm8k", {"question": "?", "answer": "5"}, r"Row 1 of .*: ValueError: .* has no answer"),
        ("aime", {"problem": "?", "answer": "five", "id": "1"}, r"Row 1 of .*: ValueError: .* must be a number"),
        ("math500", {"problem": "?", "unique_id": "u"}, r"Row 1 of .* does not have the schema"),
    ],
)
def test_a_row_without_the_schema_is_refused_by_its_number(kind, row, text, write):
    with pytest.raises(ConfigError, match=text):
        load_reasoning(kind, write(ROWS[kind], row))


def test_a_data_set_that_cannot_be_loaded_is_refused_with_a_remedy(monkeypatch):
    def refuse(*arguments, **options):
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(
        ConfigError,
        match=r"workload\.dataset is 'openai/gsm8k' \(split test\).*: no network\. It must .* file in its schema",
    ):
        load_reasoning("gsm8k", "openai/gsm8k")


@pytest.mark.parametrize(
    ("kind", "dataset", "arguments"),
    [
        ("gsm8k", "openai/gsm8k", ("main", "test")),
        ("math500", "HuggingFaceH4/MATH-500", (None, "test")),
        ("aime", "math-ai/aime25", (None, "test")),
        ("hotpotqa", "hotpotqa/hotpot_qa", ("distractor", "validation")),
    ],
)
def test_the_hub_is_asked_for_the_part_with_answers(kind, dataset, arguments, monkeypatch):
    asked = []

    def load(path, name, *, split):
        asked.append((path, name, split))
        return [ROWS[kind]]

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert len(load_reasoning(kind, dataset)) == 1
    assert asked == [(dataset, *arguments)]
