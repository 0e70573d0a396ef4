"""Answers: where they stand in a text, in the forms of the data sets, and when two short ones are the same."""

import re
import string
from collections import Counter
from decimal import Decimal, InvalidOperation

_MARK = re.compile(r"^[ \t*]*answer[ \t*]*:[ \t*]*(.*?)[ \t*.]*$", re.IGNORECASE | re.MULTILINE)
_BOXED = "\\boxed"


def boxed_answer(text: str) -> str | None:
    """Return what the last complete `\\boxed{...}` of a text holds; None when there is none."""
    end = len(text)
    while (start := text.rfind(_BOXED, 0, end)) >= 0:
        end = start
        opening = text.find("{", start)
        if opening < 0 or text[start + len(_BOXED) : opening].strip():
            continue
        depth = 0
        for position in range(opening, len(text)):
            depth += {"{": 1, "}": -1}.get(text[position], 0)
            if depth == 0:
                return text[opening + 1 : position].strip()
    return None


def marked_answer(text: str) -> str | None:
    """Return what follows the last line that begins with `Answer:`; None when there is none."""
    found = [line for line in _MARK.findall(text) if line]
    return found[-1].strip() if found else None


def gsm8k_answer(solution: str) -> str:
    """Return the answer in a solution of GSM8K: what follows `####`. Raises ValueError when nothing does."""
    _, mark, answer = solution.rpartition("####")
    if not mark or not answer.strip():
        raise ValueError(f"The solution {solution[-60:]!r} has no answer; it must end in '#### ' and a number.")
    return answer.strip()


def as_number(text: str) -> Decimal | None:
    """Return the number that a text is, with signs of currency, percent and thousands taken off; None for all else."""
    plain = text.replace("\\!", "").replace("{,}", ",").replace("\\$", "").replace("\\%", "").strip(" $%").rstrip(".")
    if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", plain):
        plain = plain.replace(",", "")
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", plain, re.ASCII):
        return None
    try:
        return Decimal(plain)
    except InvalidOperation:  # more digits than the context has
        return None


def normalized(answer: str) -> str:
    """Return a short answer without case, punctuation, articles and extra spaces.

    Source: normalize_answer in HotpotQA's hotpot_evaluate_v1.py.
    """
    without_punctuation = "".join(character for character in answer.lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", without_punctuation).split())


def f1_score(answer: str, gold: str) -> float:
    """Return the harmonic mean of precision and recall of the words; of yes, no and noanswer, whether they are equal.

    Source: f1_score in HotpotQA's hotpot_evaluate_v1.py.
    """
    found, wanted = normalized(answer), normalized(gold)
    if found != wanted and {found, wanted} & {"yes", "no", "noanswer"}:
        return 0.0
    num_same = sum((Counter(found.split()) & Counter(wanted.split())).values())
    if not num_same:
        return 0.0
    precision, recall = num_same / len(found.split()), num_same / len(wanted.split())
    return 2 * precision * recall / (precision + recall)
