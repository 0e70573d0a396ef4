"""What every way to predict tool calls has in common."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from precall.calls import ToolCall
from precall.chat import Messages
from precall.tools import Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One sample of a draft: the calls it expects of the target in this turn, in their order; none is an answer too.

    `sent_s` is when the draft was asked, on the event loop's clock. Without `is_complete` the sample goes on, and
    `calls` are its calls so far; predictions of the same sample that follow begin with them.
    """

    sample: int
    calls: tuple[ToolCall, ...]
    sent_s: float
    is_complete: bool = True
    num_prompt_tokens: int | None = None
    num_output_tokens: int | None = None


class Draft(Protocol):
    """Predicts the tool calls of the turn that follows `messages`; yields each sample as soon as it is complete, and
    before that, where it can, each time that another of its calls is complete."""

    def predict(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Prediction, None]: ...
