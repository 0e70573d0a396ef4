"""Are two runs of the same sequences the same tokens, and did the worker hold them? Where they first differ."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Tokens = tuple[int, ...]
_NUM_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedTurn:
    """One turn in tokens: all that lies before it, and what the model generated."""

    prompt: Tokens
    generated: Tokens


Trace = tuple[TracedTurn, ...]
"""One sequence, turn by turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """The first difference of a sequence. `position` counts tokens of `what`; a few from there on are shown."""

    arm: str
    sequence: int
    turn: int
    what: Literal["prompt", "generated", "worker's context"]
    position: int
    expected: Tokens
    found: Tokens

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def divergence_of(arm: str, sequence: int, expected: Trace, found: Trace) -> Divergence | None:
    """Return where a sequence first differs from the baseline's; a turn that one of them lacks counts as empty."""
    absent = TracedTurn(prompt=(), generated=())
    for turn in range(max(len(expected), len(found))):
        first = expected[turn] if turn < len(expected) else absent
        second = found[turn] if turn < len(found) else absent
        if first.prompt != second.prompt:
            return _divergence(arm, sequence, turn, "prompt", first.prompt, second.prompt)
        if first.generated != second.generated:
            return _divergence(arm, sequence, turn, "generated", first.generated, second.generated)
    return None


def context_divergence(
    arm: str, sequence: int, expected: Sequence[Tokens], held: Iterable[Tokens]
) -> Divergence | None:
    """Return the first turn whose context the worker never held, compared with what it held that comes closest."""
    held = set(held)
    for turn, context in enumerate(expected):
        if context not in held:
            alike = {other: (common_length(context, other), -abs(len(context) - len(other))) for other in held}
            closest = max(alike, key=alike.__getitem__, default=())
            return _divergence(arm, sequence, turn, "worker's context", context, closest)
    return None


def common_length(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many tokens the two have in common at their start."""
    pairs = zip(first, second, strict=False)
    return next((index for index, (one, other) in enumerate(pairs) if one != other), min(len(first), len(second)))


def _divergence(
    arm: str,
    sequence: int,
    turn: int,
    what: Literal["prompt", "generated", "worker's context"],
    expected: Tokens,
    found: Tokens,
) -> Divergence:
    position = common_length(expected, found)
    end = position + _NUM_SHOWN
    return Divergence(
        arm=arm,
        sequence=sequence,
        turn=turn,
        what=what,
        position=position,
        expected=expected[position:end],
        found=found[position:end],
    )
