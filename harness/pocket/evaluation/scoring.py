"""Right or wrong, and in what way: a turn against the conversation that solves its task, and a draft against a target.

Pure functions of what models wrote; nothing here asks a model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.pocket.world import Kind, PocketTurn
from precall.calls import CallKey, ToolCall, canonical_key
from precall.errors import MalformedCallError
from precall.tools import Tool

OPENER = "<tool_call>"

Fault = Literal[
    "wrong_tool",
    "wrong_argument",
    "wrong_number",  # right as far as they go, but more or fewer calls than asked for
    "malformed",  # arguments that are not one JSON object, or a call that the server could not read
    "no_call",
    "needless_call",
    "wrong_answer",
]
Samples = Sequence[Sequence[ToolCall]]
"""The calls of each sample of a draft, in the order of the samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnScore:
    """How a turn was, given the right history. `fault` is None for one that is exactly right."""

    task_id: str
    kind: Kind
    turn: int
    is_call_due: bool
    fault: Fault | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftedTurn:
    """A turn of the target that asked for calls, and what a draft predicted of it: one greedy sample, and several at a
    temperature above 0."""

    task_id: str
    kind: Kind
    calls: tuple[ToolCall, ...]
    tools: Mapping[str, Tool]
    greedy: Samples
    sampled: Samples

    def greedy_matches(self) -> list[bool]:
        """Return, for each call, whether the greedy sample has it."""
        return matches(self.calls, self.greedy, self.tools)

    def sampled_matches(self, num_samples: int) -> list[bool]:
        """Return, for each call, whether one of the first `num_samples` samples has it."""
        assert num_samples <= len(self.sampled), f"{num_samples} of {len(self.sampled)} samples"
        return matches(self.calls, self.sampled[:num_samples], self.tools)


def fault_of(turn: PocketTurn, calls: Sequence[ToolCall], content: str, tools: Mapping[str, Tool]) -> Fault | None:
    """Return what is wrong with the calls and the text that a model gave in place of `turn`; None if nothing is.

    Calls are right when their keys are those of the turn, in its order; an answer when its text is, white space around
    it apart. Of several faults the first one counts.
    """
    if not turn.calls and not calls:
        return None if content.strip() == turn.content else "wrong_answer"
    if not turn.calls:
        return "needless_call"
    for due, made in zip(turn.calls, calls, strict=False):
        if fault := _fault_of_call(due, made, tools):
            return fault
    if OPENER in content:  # what the server cannot read as a call it leaves in the text
        return "malformed"
    if len(calls) != len(turn.calls):
        return "wrong_number" if calls else "no_call"
    return None


def _fault_of_call(due: ToolCall, made: ToolCall, tools: Mapping[str, Tool]) -> Fault | None:
    if made.name != due.name:
        return "wrong_tool"
    key = key_of(made, tools)
    if key is None:
        return "malformed"
    return None if key == key_of(due, tools) else "wrong_argument"


def matches(calls: Sequence[ToolCall], samples: Samples, tools: Mapping[str, Tool]) -> list[bool]:
    """Return, for each of the target's calls, whether a sample predicted it.

    As the library counts (precall.turn, precall.ledger): the keys of all samples are one set, so one prediction serves
    two identical calls of a turn; a call that no tool can run is never predicted, and counts among the calls.
    """
    predicted = {key_of(call, tools) for sample in samples for call in sample} - {None}
    return [key_of(call, tools) in predicted for call in calls]


def key_of(call: ToolCall, tools: Mapping[str, Tool]) -> CallKey | None:
    """Return the key of a call, None for one that none of the offered tools can run."""
    if call.name not in tools:
        return None
    try:
        return canonical_key(call, tools[call.name].parameters)
    except MalformedCallError:
        return None
