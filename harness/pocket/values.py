"""The values of the pocket world: made-up names and numbers, each of which belongs to one split.

Every open value begins with a capital letter or a digit, so that it has the same tokens in a sentence and in JSON.
Weekdays, units and languages are closed sets, as the values of an enum are, and belong to both splits.
"""

import hashlib
from collections.abc import Iterable
from functools import cache
from typing import Any, Literal

Split = Literal["train", "held_out"]

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
UNIT_FACTORS = {
    ("km", "miles"): 0.6214,
    ("miles", "km"): 1.6093,
    ("kg", "pounds"): 2.2046,
    ("pounds", "kg"): 0.4536,
    ("metres", "feet"): 3.2808,
    ("feet", "metres"): 0.3048,
}
LANGUAGES = ("Elvish", "Dwarvish", "Orcish")

_CAPITALS = "BCDFGHKLMNPRSTVZ"
_MIDDLES = ("al", "an", "ar", "el", "en", "er", "il", "in", "ir", "ol", "on", "or")
# A name is a capital letter, a middle and an ending that tells its kind. Kinds are named like the parameters.
ENDINGS = {
    "city": ("ford", "ton", "burg", "wick", "dale", "holm", "stad", "haven"),
    "country": ("land", "mark", "istan", "onia", "esia", "avia"),
    "person": ("a", "o", "us", "ina", "ette", "by"),
    "project": ("ex", "eon", "ara", "ium", "yx"),
    "path": ("plan", "list", "memo", "log", "draft"),
    "title": ("fest", "meet", "party", "race", "show"),
    "word": ("ling", "ock", "ew", "osh", "ake"),
}
NUMBERS = {"amount": range(2, 1000), "a": range(10, 1000), "b": range(10, 100)}


def split_of(value: object) -> Split:
    """Return the split that a value belongs to: a quarter of all values is held out."""
    return "held_out" if digest(str(value)) % 4 == 0 else "train"


@cache
def pool(kind: str, split: Split) -> tuple[Any, ...]:
    """Return all values of a kind in a split, in a fixed order: texts, or integers where `NUMBERS` has the kind."""
    if kind in NUMBERS:
        return tuple(number for number in NUMBERS[kind] if split_of(number) == split)
    return tuple(name for name in _names(ENDINGS[kind]) if split_of(name) == split)


def pick(kind: str, source: str) -> str:
    """Return the name of a kind that `source` always leads to; it is in the split of `source`, so that what a tool
    returns for a held-out name is held out, too."""
    names = pool(kind, split_of(source))
    return names[digest(f"{kind} of {source}") % len(names)]


def digest(text: str) -> int:
    """Return a number that is the same for a text in every process."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _names(endings: Iterable[str]) -> Iterable[str]:
    return (f"{capital}{middle}{ending}" for capital in _CAPITALS for middle in _MIDDLES for ending in endings)
