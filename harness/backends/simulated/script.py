"""What simulated models say: a trajectory with the sizes of its turns in tokens."""

from dataclasses import dataclass, field

from harness.backends.simulated.kv_cache import Segment
from precall.calls import ToolCall


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedSample:
    """What one sample of the draft says in a turn."""

    calls: tuple[ToolCall, ...]
    num_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedTurn:
    """One turn. `num_input_tokens` enter the history before it: the prompt, the results of the turn before, or the next
    user message. `num_call_tokens` are those of all its calls, and follow `num_reasoning_tokens`."""

    num_input_tokens: int
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
    """A trajectory; `key` tells it from all others in the prefix cache."""

    key: str
    turns: tuple[ScriptedTurn, ...]
    paths: tuple[tuple[Segment, ...], ...] = field(init=False)
    """Per turn, the prompt of a request for it."""

    def __post_init__(self) -> None:
        paths, path = [], ()
        for index, turn in enumerate(self.turns):
            path = (*path, Segment(self.input_key(index), turn.num_input_tokens))
            paths.append(path)
            path = (*path, Segment(self.generated_key(index), turn.num_tokens))
        object.__setattr__(self, "paths", tuple(paths))

    def input_key(self, index: int) -> tuple[str, str, int]:
        return (self.key, "input", index)

    def generated_key(self, index: int) -> tuple[str, str, int]:
        return (self.key, "generated", index)
