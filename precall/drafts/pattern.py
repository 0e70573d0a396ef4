"""A draft without a model: predicts the calls that have followed before in such places."""

from collections.abc import AsyncGenerator, Sequence

from precall.chat import Messages
from precall.drafts.history import History, read_history
from precall.drafts.pattern_memory import PatternMemory
from precall.drafts.protocol import Prediction
from precall.errors import ConfigError
from precall.events import now_s
from precall.tools import Tool

MIN_CONFIDENCE = 0.3
MIN_SUPPORT = 3


class PatternDraft:
    """Predicts at most `num_calls` calls a turn, each with an estimated probability of `min_confidence` or more, from
    contexts that `min_support` turns have followed. One object serves one trajectory; `memory` may serve all.

    With `is_learning` the memory learns from each turn as soon as the next begins. The answer that ends a trajectory is
    seen as a turn that asked for nothing.
    """

    def __init__(
        self,
        memory: PatternMemory,
        *,
        num_calls: int = 1,
        min_confidence: float = MIN_CONFIDENCE,
        min_support: int = MIN_SUPPORT,
        is_learning: bool = True,
    ) -> None:
        if num_calls < 1:
            raise ConfigError(f"num_calls is {num_calls}; it must be at least 1. speculation=off asks no draft.")
        if not 0.0 < min_confidence <= 1.0:
            raise ConfigError(f"min_confidence is {min_confidence}; it must be in (0, 1].")
        if min_support < 1:
            raise ConfigError(f"min_support is {min_support}; it must be at least 1.")
        self._memory = memory
        self._num_calls = num_calls
        self._min_confidence = min_confidence
        self._min_support = min_support
        self._is_learning = is_learning
        self._num_begun = 0
        self._num_ended = 0

    async def predict(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Prediction, None]:
        """Yield one sample at once: the calls, the most probable first."""
        sent_s, history = now_s(), read_history(messages)
        if self._is_learning:
            self._learn(history)
        names = {tool.name for tool in tools}
        candidates = self._memory.candidates(history.steps, min_support=self._min_support)
        calls = [c.call for c in candidates if c.confidence >= self._min_confidence and c.call.name in names]
        yield Prediction(sample=0, calls=tuple(calls[: self._num_calls]), sent_s=sent_s)

    def _learn(self, history: History) -> None:
        for index, turn in enumerate(history.turns):
            steps = history.steps[: turn.num_steps_before]
            if index >= self._num_begun:
                self._memory.begin_turn(steps)
            if index >= self._num_ended:
                self._memory.end_turn(steps, turn.calls)
        self._num_ended = len(history.turns)
        self._memory.begin_turn(history.steps)
        self._num_begun = self._num_ended + 1
