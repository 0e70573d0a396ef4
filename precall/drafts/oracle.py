"""A draft that is told the target's calls beforehand and is right in a given share of them: bounds what any draft with
that call acceptance rate could bring."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from precall.calls import ToolCall, parse_arguments
from precall.chat import Messages
from precall.drafts.protocol import Prediction
from precall.errors import ConfigError, MalformedCallError
from precall.events import now_s
from precall.tools import Tool


class OracleDraft:
    """Predicts turn i of one trajectory with the calls `turns[i]`, such as those of a recording, after `delay_s`.

    Each call is right with probability `alpha`, else it has another value in one argument, or is left out if it has
    none. The draws depend on `seed`, the turn and the call's place in it, so that a call that is right stays right
    under a larger alpha. The turn is the number of assistant messages in the history.
    """

    def __init__(
        self, turns: Sequence[Sequence[ToolCall]], *, alpha: float, seed: str | int, delay_s: float = 0.0
    ) -> None:
        if not 0.0 <= alpha <= 1.0:
            raise ConfigError(f"alpha of the oracle is {alpha}; it must be in [0, 1].")
        if not 0.0 <= delay_s < float("inf"):
            raise ConfigError(f"delay_s of the oracle is {delay_s}; it must be 0 or more.")
        self._turns = turns
        self._alpha = alpha
        self._seed = seed
        self._delay_s = delay_s

    async def predict(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Prediction, None]:
        """Yield one sample."""
        turn, sent_s = sum(message["role"] == "assistant" for message in messages), now_s()
        calls = self._turns[turn] if turn < len(self._turns) else ()
        said = [self._say(turn, place, call) for place, call in enumerate(calls)]
        await asyncio.sleep(self._delay_s)
        yield Prediction(sample=0, calls=tuple(call for call in said if call is not None), sent_s=sent_s)

    def _say(self, turn: int, place: int, call: ToolCall) -> ToolCall | None:
        generator = random.Random(f"{self._seed}/{turn}/{place}")
        return call if generator.random() < self._alpha else with_wrong_argument(call, generator)


def with_wrong_argument(call: ToolCall, generator: random.Random) -> ToolCall | None:
    """Return `call` with a plausible, other value in one argument; None for one that has no argument to change."""
    try:
        arguments = parse_arguments(call)
    except MalformedCallError:
        return None
    if not arguments:
        return None
    name = generator.choice(sorted(arguments))
    wrong = arguments | {name: _wrong_value(arguments[name])}
    return ToolCall(name=call.name, arguments=json.dumps(wrong, ensure_ascii=False))


def _wrong_value(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1 if value + 1 != value else value / 2  # a large float has no successor at 1
        case str():
            return f"{value} 2"
        case list():
            return value[1:] if value else [1]
        case dict():
            other = 2 if value.get("other") == 1 else 1
            return {"other": other, **{key: item for key, item in value.items() if key != "other"}}
        case _:
            return "other"
