"""Bindings: where the value of a call's argument can be found in the steps before the call."""

import functools
import json
import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from precall.drafts.history import USER, Step

MAX_BACK = 3
"""How many steps before the call are looked at; the last user's message is, too, wherever it is."""
MAX_CHARS = 20_000
"""Of a text; JSON that is longer is not looked at."""
MAX_WHERE = 500
"""Characters of a binding: a longer value is no constant that recurs."""
_MAX_VALUES = 500  # of a JSON observation
_MAX_DEPTH = 6
_MAX_WORDS = 500
_MAX_PER_SOURCE = 4

_WORD = re.compile(r'"([^"]+)"|([^\s,;:()\[\]{}"=<>]+)')


class Kind(StrEnum):
    """What a binding says of a value; the first is preferred where two are equally often right."""

    ARGUMENT = "argument"  # that of an earlier call with the name `where`
    NEXT = "next"  # one more than that, as for pages
    JSON = "json"  # at the path `where` of an observation that is JSON
    LABEL = "label"  # the word that follows the word `where`, in a text
    WORD = "word"  # the word number `where`, in a text
    CONSTANT = "constant"  # always the JSON text `where`


class Binding(NamedTuple):
    """One place of a value. `back` counts the steps before the call: 1 is the last; 0 is the last user's message.

    `where` is explained at the kinds; a path is JSON text of keys and indices. `is_number`: a word that stands for a
    number.
    """

    kind: Kind
    back: int
    where: str
    is_number: bool = False


def explain(value: Any, steps: Sequence[Step]) -> list[Binding]:
    """Return the bindings by which `value` could have come from `steps`, those to be preferred first."""
    wanted = as_json(value)
    found = [Binding(Kind.CONSTANT, 0, wanted)]
    for back, step in _sources(steps):
        for name, given in step.arguments.items():
            if as_json(given) == wanted:
                found.append(Binding(Kind.ARGUMENT, back, name))
            if _is_integer(given) and _is_integer(value) and value == given + 1:
                found.append(Binding(Kind.NEXT, back, name))
        document = _document(step)
        if document is not None:
            paths = [path for path, item in _values(document) if as_json(item) == wanted]
            found += [Binding(Kind.JSON, back, as_json(path)) for path in paths[:_MAX_PER_SOURCE]]
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            found += _explain_in_text(value, back, _words(step.text))
    ranks = list(Kind)
    short = [binding for binding in found if len(binding.where) <= MAX_WHERE]
    return sorted(short, key=lambda binding: (ranks.index(binding.kind), binding.back))


def resolve(binding: Binding, steps: Sequence[Step]) -> Any:
    """Return the value that a binding has behind `steps`. Raises LookupError where there is none."""
    if binding.kind is Kind.CONSTANT:
        return json.loads(binding.where)
    step = dict(_sources(steps))[binding.back]
    match binding.kind:
        case Kind.ARGUMENT:
            return step.arguments[binding.where]
        case Kind.NEXT:
            given = step.arguments[binding.where]
            if not _is_integer(given):
                raise LookupError(f"{given!r} has no next")
            return given + 1
        case Kind.JSON:
            value = _document(step)
            for key in json.loads(binding.where):
                value = _item(value, key)
            return value
        case Kind.LABEL:
            words = _words(step.text)
            place = words.index(binding.where) + 1 if binding.where in words else len(words)
        case _:
            words, place = _words(step.text), int(binding.where)
    return _as_number(words[place]) if binding.is_number else words[place]


def as_json(value: Any) -> str:
    """Return the JSON text of a value, by which values are compared."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _sources(steps: Sequence[Step]) -> Iterator[tuple[int, Step]]:
    for back, step in enumerate(reversed(steps[-MAX_BACK:]), start=1):
        if step.symbol != USER:
            yield back, step
    for step in reversed(steps):
        if step.symbol == USER:
            yield 0, step
            return


def _explain_in_text(value: str | int | float, back: int, words: Sequence[str]) -> Iterator[Binding]:
    is_number = not isinstance(value, str)
    places = [place for place, word in enumerate(words) if (_number_or_none(word) if is_number else word) == value]
    for place in places[:_MAX_PER_SOURCE]:
        if place and words.index(words[place - 1]) == place - 1:
            yield Binding(Kind.LABEL, back, words[place - 1], is_number)
        yield Binding(Kind.WORD, back, str(place), is_number)


def _document(step: Step) -> Any:
    """Return the observation of a step if it is a JSON object or array, else None."""
    return None if step.symbol == USER else _parse(step.text)


@functools.lru_cache(maxsize=64)  # every binding of a turn looks at the same few texts
def _parse(text: str) -> Any:
    if len(text) > MAX_CHARS or text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _values(document: Any) -> Iterator[tuple[list[str | int], Any]]:
    """Yield the values in a document with their paths, the outermost first."""
    level: list[tuple[list[str | int], Any]] = [([], document)]
    num = 0
    for _ in range(_MAX_DEPTH):
        below: list[tuple[list[str | int], Any]] = []
        for path, value in level:
            items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
            for key, item in items:
                num += 1
                if num > _MAX_VALUES:
                    return
                yield [*path, key], item
                below.append(([*path, key], item))
        level = below


@functools.lru_cache(maxsize=64)
def _words(text: str) -> list[str]:
    found = []
    for match in _WORD.finditer(text[:MAX_CHARS]):
        found.append(match[1] or match[2].rstrip(".!?") or match[2])
        if len(found) == _MAX_WORDS:
            break
    return found


def _item(value: Any, key: str | int) -> Any:
    if isinstance(value, dict) and isinstance(key, str):
        return value[key]
    if isinstance(value, list) and isinstance(key, int):
        return value[key]
    raise LookupError(f"there is no {key!r}")


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _as_number(word: str) -> int | float:
    number = _number_or_none(word)
    if number is None:
        raise LookupError(f"{word!r} is no number")
    return number


def _number_or_none(word: str) -> int | float | None:
    try:
        number = json.loads(word)
    except (ValueError, RecursionError):
        return None
    return number if isinstance(number, int | float) and not isinstance(number, bool) else None
