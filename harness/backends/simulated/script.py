"""What simulated models say: a trajectory with the sizes of its turns in tokens."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.backends.simulated.kv_cache import Segment
from precall.calls import ToolCall

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedSample:
    """What one sample of the draft says in a turn."""

    calls: tuple[ToolCall, ...]
    num_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedTurn:
    """One turn. `num_call_tokens` are those of all its calls, and follow `num_reasoning_tokens`."""

    num_reasoning_tokens: int
    num_call_tokens: int = 0
    reasoning: str = ""
    content: str = ""
    calls: tuple[ToolCall, ...] = ()
    samples: tuple[ScriptedSample, ...] = ()

    @property
    def num_tokens(self) -> int:
        return self.num_reasoning_tokens + self.num_call_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A trajectory; `key` tells it from all others in the prefix cache. `num_input_tokens(i, messages)` says how many
    tokens enter the history before turn i with these messages: the prompt, results, a user's next message."""

    key: str
    turns: tuple[ScriptedTurn, ...]
    num_input_tokens: Callable[[int, Sequence[Message]], int]

    def path(self, messages: Sequence[Message]) -> tuple[Segment, ...]:
        """Return the prompt of the turn that follows a history, as the engine's cache addresses it."""
        path: list[Segment] = []
        index, entering = 0, []
        for message in messages:
            if message["role"] == "assistant":
                path += (self.input_segment(index, entering), self._generated(index))
                index, entering = index + 1, []
            else:
                entering.append(message)
        return (*path, self.input_segment(index, entering))

    def input_segment(self, index: int, messages: Sequence[Message]) -> Segment:
        return Segment((self.key, "input", index), self.num_input_tokens(index, messages))

    def _generated(self, index: int) -> Segment:
        return Segment(self.generated_key(index), self.turns[index].num_tokens)

    def generated_key(self, index: int) -> tuple[str, str, int]:
        return (self.key, "generated", index)
