"""What recurs in past trajectories: which call follows which, and where its arguments come from.

Source: PASTE (arXiv:2603.18897), whose patterns are a context, a tool, a function of the arguments and a probability.
"""

import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from precall.calls import ToolCall, parse_arguments
from precall.chat import Messages
from precall.drafts.bindings import Binding, Kind, as_json, explain, resolve
from precall.drafts.history import Step, read_history
from precall.errors import ConfigError, MalformedCallError

MAX_CONTEXT = 3
MAX_OUTCOMES = 16
MAX_BINDINGS = 32
MAX_COUNT = 256
"""A context that was seen so often halves its counts, so that it follows what changes."""

_FORMAT = {"format": "precall-patterns", "version": 1}

Context = tuple[str, ...]
Shape = tuple[str, tuple[str, ...]]
"""A tool and the names of the arguments that it is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A call that may follow. `confidence` estimates the probability that it does: the share of the context's turns
    with this tool and these argument names, times for each argument the share in which its binding was right.
    `support` is the number of turns behind it."""

    call: ToolCall
    confidence: float
    support: int


@dataclass(slots=True)
class _Outcome:
    num: int = 0
    bindings: dict[str, dict[Binding, int]] = field(default_factory=dict)


@dataclass(slots=True)
class _Followed:
    num_turns: int = 0
    outcomes: dict[Shape, _Outcome] = field(default_factory=dict)


class PatternMemory:
    """Patterns by context: the last one to three steps, each a tool's name or a user's message.

    It holds at most `max_contexts` contexts; the one that was not learned from for longest goes first. What it says
    depends on what it learned, in that order, and on nothing else.
    """

    def __init__(self, max_contexts: int = 4096) -> None:
        if max_contexts < 1:
            raise ConfigError(f"max_contexts is {max_contexts}; it must be at least 1.")
        self._max_contexts = max_contexts
        self._contexts: OrderedDict[Context, _Followed] = OrderedDict()

    def __len__(self) -> int:
        return len(self._contexts)

    def learn(self, messages: Messages) -> None:
        """Learn from a whole trajectory, its answer included."""
        history = read_history(messages)
        for turn in history.turns:
            before = history.steps[: turn.num_steps_before]
            self.begin_turn(before)
            self.end_turn(before, turn.calls)

    def begin_turn(self, steps: Sequence[Step]) -> None:
        """A turn follows `steps`."""
        for context in _contexts_of(steps):
            followed = self._contexts.setdefault(context, _Followed())
            self._contexts.move_to_end(context)
            followed.num_turns += 1
            if followed.num_turns >= MAX_COUNT:
                _halve(followed)
        while len(self._contexts) > self._max_contexts:
            self._contexts.popitem(last=False)

    def end_turn(self, steps: Sequence[Step], calls: Sequence[ToolCall]) -> None:
        """The turn that followed `steps` has asked for `calls`; it had been begun. Malformed calls do not count."""
        for call in calls:
            try:
                arguments = parse_arguments(call)
            except MalformedCallError:
                continue
            bindings = {name: explain(value, steps) for name, value in arguments.items()}
            for context in _contexts_of(steps):
                if context in self._contexts:  # else it was dropped since
                    _count(self._contexts[context], (call.name, tuple(sorted(arguments))), bindings)

    def candidates(self, steps: Sequence[Step], *, min_support: int) -> list[Candidate]:
        """Return the calls that may follow `steps`, the most confident first. They come from the longest context that
        `min_support` turns have followed, even where those say that nothing follows."""
        for context in sorted(_contexts_of(steps), key=len, reverse=True):
            followed = self._contexts.get(context)
            if followed is not None and followed.num_turns >= min_support:
                found = [each for shape, outcome in followed.outcomes.items() for each in _calls(shape, outcome, steps)]
                shares = [(call, min(1.0, num / followed.num_turns)) for call, num in found]
                ranked = sorted(shares, key=lambda pair: -pair[1])
                return [Candidate(call=c, confidence=share, support=followed.num_turns) for c, share in ranked]
        return []

    def save(self, path: Path) -> None:
        """Write what was learned to `path`, as JSON, whole or not at all."""
        contexts = [[list(context), _to_json(followed)] for context, followed in self._contexts.items()]
        partial = path.with_suffix(path.suffix + ".partial")
        partial.write_text(json.dumps({**_FORMAT, "contexts": contexts}) + "\n", encoding="utf-8")
        partial.replace(path)

    @classmethod
    def load(cls, path: Path, max_contexts: int = 4096) -> "PatternMemory":
        """Return what `save` has written. Raises ConfigError when it is not in the format."""
        memory = cls(max_contexts)
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))
            if {name: saved[name] for name in _FORMAT} != _FORMAT:
                raise ValueError(f"the format is not {_FORMAT}")
            for context, followed in saved["contexts"][-max_contexts:]:
                memory._contexts[tuple(context)] = _from_json(followed)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"The patterns in {path} cannot be read: {type(error).__name__}: {error}.") from error
        return memory


def _contexts_of(steps: Sequence[Step]) -> Iterator[Context]:
    symbols = tuple(step.symbol for step in steps[-MAX_CONTEXT:])
    for length in range(1, len(symbols) + 1):
        yield symbols[-length:]


def _count(followed: _Followed, shape: Shape, bindings: dict[str, list[Binding]]) -> None:
    outcome = followed.outcomes.setdefault(shape, _Outcome())
    outcome.num += 1
    for name, explained in bindings.items():
        counts = outcome.bindings.setdefault(name, {})
        for binding in explained:
            counts[binding] = counts.get(binding, 0) + 1
        for _ in range(len(counts) - MAX_BINDINGS):
            del counts[min(counts, key=counts.__getitem__)]  # of the rarest, the oldest
    if len(followed.outcomes) > MAX_OUTCOMES:
        del followed.outcomes[min(followed.outcomes, key=lambda shape: followed.outcomes[shape].num)]


def _halve(followed: _Followed) -> None:
    followed.num_turns //= 2
    for shape, outcome in list(followed.outcomes.items()):
        outcome.num //= 2
        for name, counts in outcome.bindings.items():
            outcome.bindings[name] = {binding: num // 2 for binding, num in counts.items() if num > 1}
        if not outcome.num:
            del followed.outcomes[shape]


def _calls(shape: Shape, outcome: _Outcome, steps: Sequence[Step]) -> Iterator[tuple[ToolCall, float]]:
    """Yield the call with the best value of each argument, then those with another value in one argument, each with the
    number of turns in which it was right, if arguments are independent."""
    tool, names = shape
    ranked = [_values_of(outcome.bindings.get(name, {}), steps) for name in names]
    if not all(ranked):
        return
    best = [values[0] for values in ranked]
    variants = [
        [*best[:place], value, *best[place + 1 :]] for place, values in enumerate(ranked) for value in values[1:]
    ]
    for chosen in [best, *variants]:
        num = float(outcome.num)
        for _, num_right in chosen:
            num *= num_right / outcome.num
        values = [value for value, _ in chosen]
        arguments = json.dumps(dict(zip(names, values, strict=True)), ensure_ascii=False)
        yield ToolCall(name=tool, arguments=arguments), num


def _values_of(counts: dict[Binding, int], steps: Sequence[Step]) -> list[tuple[Any, int]]:
    """Return the values that the bindings have behind `steps`, with how often the best binding to each was right."""
    kinds = list(Kind)
    values: dict[str, tuple[Any, int]] = {}
    for binding, num in sorted(counts.items(), key=lambda item: (-item[1], kinds.index(item[0].kind))):
        try:
            value = resolve(binding, steps)
        except LookupError:
            continue
        values.setdefault(as_json(value), (value, num))
    return list(values.values())


def _to_json(followed: _Followed) -> dict[str, Any]:
    outcomes = [
        [tool, list(names), outcome.num, {n: [[*b, num] for b, num in c.items()] for n, c in outcome.bindings.items()}]
        for (tool, names), outcome in followed.outcomes.items()
    ]
    return {"num_turns": followed.num_turns, "outcomes": outcomes}


def _from_json(fields: dict[str, Any]) -> _Followed:
    followed = _Followed(num_turns=int(fields["num_turns"]))
    for tool, names, num, bindings in fields["outcomes"]:
        counts = {
            name: {
                Binding(Kind(kind), back, where, is_number): num_right for kind, back, where, is_number, num_right in of
            }
            for name, of in bindings.items()
        }
        followed.outcomes[(tool, tuple(names))] = _Outcome(num=num, bindings=counts)
    return followed
