"""What the agents of the stress run do, drawn from a seed: agent a in round r does the same in every arm."""

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "f",
            "description": "d",
            "parameters": {"type": "object", "properties": {"x": {"type": "number"}}},
        },
    }
]
QUESTION = {"role": "user", "content": "go"}
WORDS = "alpha beta gamma delta 12 7 x and so then".split()
MAX_TOKENS = 96
BOUNDS = {"max_entry_bytes": 8192, "max_bytes_per_response": 32768, "max_total_bytes": 1048576}
"""Settings of the server, so small that a flood of a few KiB reaches them."""


class Behaviour(StrEnum):
    """How a client treats its response. `good` posts every result in time; the others go wrong in one way."""

    good = "good"
    late = "late"
    never_returns = "never_returns"
    vanishes = "vanishes"
    random_order = "random_order"
    too_long = "too_long"
    wrong_calls = "wrong_calls"
    floods = "floods"


# Half of the responses are spliced as intended; the other half is spread over everything that can go wrong.
WEIGHTS = {behaviour: 7 if behaviour is Behaviour.good else 1 for behaviour in Behaviour}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTurn:
    """One turn: the words the model says, the call it then makes (`argument` None: none), and what the tool returns."""

    words: str
    argument: int | None = None
    output: str = ""

    @property
    def text(self) -> str:
        """What the model generates, without the end of the turn."""
        if self.argument is None:
            return self.words
        return f'{self.words}<tool_call>\n{{"name": "f", "arguments": {{"x": {self.argument}}}}}\n</tool_call>'

    def messages(self) -> list[dict[str, Any]]:
        """The turn as messages of a history."""
        if self.argument is None:
            return [{"role": "assistant", "content": self.words}]
        function = {"name": "f", "arguments": f'{{"x": {self.argument}}}'}
        call = {"id": f"call_{self.argument}", "type": "function", "function": function}
        asked = {"role": "assistant", "content": self.words, "tool_calls": [call]}
        return [asked, {"role": "tool", "tool_call_id": call["id"], "content": self.output}]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One task of one agent. `leaves_after_s` is when the client hangs up; `post_delay_s` how late it posts."""

    behaviour: Behaviour
    turns: tuple[PlannedTurn, ...]
    post_delay_s: float = 0.0
    leaves_after_s: float | None = None

    def entries(self, num_done: int) -> list[dict[str, Any]]:
        """Return what the client posts for the turns that are still to come, in their order."""
        calls = [turn for turn in self.turns[num_done:] if turn.argument is not None]
        shift = 1 if self.behaviour is Behaviour.wrong_calls else 0
        entries: list[dict[str, Any]] = [
            {"name": "f", "params": {"x": (turn.argument or 0) + shift}, "output": turn.output} for turn in calls
        ]
        if self.behaviour is Behaviour.never_returns and entries:
            entries[-1] = {"name": "f", "params": entries[-1]["params"], "running": True}
        return entries


def plan_of(seed: int, agent: int, round_index: int) -> Plan:
    """Return what `agent` does in a round. Arguments of calls differ by 2, so that a shifted one is nobody's."""
    draw = random.Random(f"{seed}/{agent}/{round_index}")
    behaviour = draw.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    num_calls = draw.randint(1, 4)
    num_output_words = 300 if behaviour is Behaviour.too_long else 40
    turns = [
        PlannedTurn(
            words=_words(draw, 12),
            argument=2 * (10 * agent + turn),
            output=_words(draw, num_output_words, least=num_output_words // 2),
        )
        for turn in range(num_calls)
    ]
    return Plan(
        behaviour=behaviour,
        turns=(*turns, PlannedTurn(words=_words(draw, 40, least=10))),
        post_delay_s=draw.uniform(0.0, 2.0) if behaviour is Behaviour.late else 0.0,
        leaves_after_s=draw.uniform(0.0, 3.0) if behaviour is Behaviour.vanishes else None,
    )


def _words(draw: random.Random, most: int, least: int = 1) -> str:
    return " ".join(draw.choices(WORDS, k=draw.randint(least, most)))
