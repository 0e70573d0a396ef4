"""Where an answer stands in a text, and when two short ones are the same."""

from decimal import Decimal

import pytest

from agents.reasoning.answers import as_number, boxed_answer, f1_score, gsm8k_answer, marked_answer, normalized


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"So it is $\boxed{42}$.", "42"),
        (r"First \boxed{1}, but no: \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed {x^{2}} and \boxed{never closed", "x^{2}"),
        (r"\boxed x", None),
        ("42", None),
        ("", None),
    ],
)
def test_the_last_complete_box_holds_the_answer(text, answer):
    assert boxed_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Two hops.\nAnswer: Skerry Point", "Skerry Point"),
        ("**Answer:** Gannet Light.", "Gannet Light"),
        ("Answer: 1\nno\nanswer: 2", "2"),
        ("The answer is 2", None),
        ("Answer:", None),
    ],
)
def test_the_last_line_that_is_marked_holds_the_answer(text, answer):
    assert marked_answer(text) == answer


def test_a_solution_of_gsm8k_ends_in_its_answer():
    assert gsm8k_answer("She has 3 * 4 = <<3*4=12>>12.\n#### 1,200") == "1,200"
    with pytest.raises(ValueError, match="no answer"):
        gsm8k_answer("12")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("42", 42),
        ("-1,234,567.50", Decimal("-1234567.5")),
        (r"\$1{,}000", 1000),
        ("$12.", 12),
        ("25\\%", 25),
        ("073", 73),
        (".5", Decimal("0.5")),
        ("12,34", None),
        ("1e3", None),
        ("x", None),
        ("", None),
        ("٣", None),
        ("Infinity", None),
    ],
)
def test_a_number_is_read_with_the_signs_around_it(text, number):
    assert as_number(text) == number


def test_short_answers_are_compared_without_case_punctuation_and_articles():
    assert normalized("The Glass  Harvest!") == normalized("glass harvest")
    assert normalized("a-b") == "ab"


@pytest.mark.parametrize(
    ("answer", "gold", "score"),
    [
        ("the Glass Harvest", "Glass Harvest", 1.0),
        ("Glass Harvest opera", "Glass Harvest", 0.8),  # precision 2/3, recall 1
        ("Harvest", "Moon", 0.0),
        ("yes it is", "yes", 0.0),
        ("yes", "yes", 1.0),
        ("", "", 0.0),
    ],
)
def test_f1_counts_the_words_that_are_shared(answer, gold, score):
    assert f1_score(answer, gold) == pytest.approx(score)
