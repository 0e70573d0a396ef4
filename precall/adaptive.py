"""Switches speculation off where it is not expected to pay, and on again where it would.

Source: ours. What it knows comes from the events of the turns: per tool alpha (matched over confirmed calls), its
precision (confirmed over predicted calls), G, g, T and calls per turn; over all turns the seconds that the draft works,
and the tool-seconds of executions that were not used. Each is a mean that forgets: an average over the last `window`
turns, calls or predictions, roughly. Alpha and precision of a tool that is new begin with what they are over all tools,
and those with a prior. Two rules follow.

- The draft is asked while the expected saving of a turn, the sum over tools of calls per turn times
  alpha min(T, G - g), is at least what a turn costs: `draft_price` times the draft's seconds plus `tool_price` times
  the wasted tool-seconds. A price is what one such second may cost in seconds of an agent's time.
- A tool is launched while precision times min(T, G - g) is at least `tool_price` times (1 - precision) T.

While the draft is not asked, a share of `probe_share` of the turns asks it all the same (a probe), and so does the turn
that begins after a probe which would have paid. T and G are seen in any case, and precision whenever the draft is
asked, since a prediction need not be launched to be compared.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from precall.calls import CallKey
from precall.cost_model.client import client_saved_share
from precall.errors import ConfigError
from precall.events import Event, EventKind
from precall.executions import Fate

PRIOR = 0.5
PRIOR_WEIGHT = 4
"""The share that alpha and precision are taken to be, and how many observations that is worth."""


@dataclass(slots=True)
class _Mean:
    """A running mean of up to `window` observations, from there on one with weights that decay."""

    value: float = 0.0
    weight: float = 0.0

    def add(self, value: float, window: int) -> None:
        self.weight = min(self.weight + 1.0, window)
        self.value += (value - self.value) / self.weight


@dataclass(slots=True)
class _ToolEstimates:
    alpha: _Mean
    precision: _Mean
    calls_per_turn: _Mean
    G: _Mean = field(default_factory=_Mean)
    g: _Mean = field(default_factory=_Mean)
    T: _Mean = field(default_factory=_Mean)
    is_eligible: bool = True

    def saving_s(self, probability: float) -> float:
        """Return the expected seconds that one call saves which was predicted with this probability."""
        return _saving_s(self.G.value, self.g.value, self.T.value, probability)


def _saving_s(G: float, g: float, T: float, alpha: float) -> float:
    return client_saved_share(G=G, g=g, T=T, alpha=alpha) * (G + T) if G + T else 0.0


class AdaptiveSwitch:
    """Decides for all trajectories that share it; it begins with speculation on. The same seed and the same events give
    the same decisions."""

    def __init__(
        self,
        *,
        draft_price: float = 0.1,
        tool_price: float = 0.1,
        window: int = 20,
        probe_share: float = 0.05,
        seed: int = 0,
    ) -> None:
        for name, value in (("draft_price", draft_price), ("tool_price", tool_price)):
            if not 0.0 <= value < float("inf"):
                raise ConfigError(f"{name} is {value}; it must be 0 or more.")
        if window < PRIOR_WEIGHT:
            raise ConfigError(f"window is {window}; it must be at least {PRIOR_WEIGHT}, the weight of the prior.")
        if not 0.0 < probe_share <= 1.0:
            raise ConfigError(f"probe_share is {probe_share}; it must be in (0, 1], or it would never switch on again.")
        self._draft_price = draft_price
        self._tool_price = tool_price
        self._window = window
        self._probe_share = probe_share
        self._random = random.Random(seed)
        self._tools: dict[str, _ToolEstimates] = {}
        # Over all tools: what a tool that is new is taken to be like.
        self._alpha = _Mean(PRIOR, PRIOR_WEIGHT)
        self._precision = _Mean(PRIOR, PRIOR_WEIGHT)
        self._num_turns = 0
        self._draft_s = _Mean()
        self._wasted_tool_s = _Mean()
        self._is_probing_again = False

    @property
    def is_on(self) -> bool:
        """Whether the draft is asked in every turn."""
        return not self._draft_s.weight or self.saving_s >= self.cost_s

    @property
    def saving_s(self) -> float:
        """The seconds that speculation is expected to save in a turn."""
        return sum(
            tool.calls_per_turn.value * tool.saving_s(tool.alpha.value)
            for name, tool in self._tools.items()
            if tool.is_eligible and self.allows(name)
        )

    @property
    def cost_s(self) -> float:
        """What speculation costs in a turn, in seconds of an agent's time at the prices given."""
        return self._cost_s(self._draft_s.value, self._wasted_tool_s.value)

    def _cost_s(self, draft_s: float, wasted_tool_s: float) -> float:
        return self._draft_price * draft_s + self._tool_price * wasted_tool_s

    def asks(self) -> bool:
        """Decide whether the draft is asked in the turn that begins."""
        if self.is_on:
            return True
        is_probe = self._is_probing_again or self._random.random() < self._probe_share
        self._is_probing_again = False
        return is_probe

    def allows(self, name: str) -> bool:
        """Whether a predicted call of the tool `name` is to be launched."""
        tool = self._tools.get(name)
        if tool is None:
            return True
        precision = tool.precision.value
        cost = self._tool_price * (1.0 - precision)
        # Of a tool that was never confirmed T and G are not known: at best a call saves T.
        return tool.saving_s(precision) >= cost * tool.T.value if tool.T.weight else precision >= cost

    def learn(self, events: Sequence[Event]) -> None:
        """Learn from all events of one turn. One whose target failed says nothing."""
        facts = _TurnFacts.of(events)
        if facts.G_s is None:
            return
        for key, is_predicted, is_eligible, tool_s in facts.confirmed:
            tool = self._tools.get(key.name) or self._new_tool(key.name)
            tool.is_eligible = is_eligible
            tool.G.add(facts.G_s, self._window)
            if tool_s is not None:
                tool.T.add(tool_s, self._window)
            if facts.draft_s is not None:
                tool.alpha.add(is_predicted, self._window)
                self._alpha.add(is_predicted, self._window)
        confirmed = {key for key, *_ in facts.confirmed}
        for key, g_s in facts.predicted_s.items():
            tool = self._tools.get(key.name) or self._new_tool(key.name)
            tool.g.add(g_s, self._window)
            tool.precision.add(key in confirmed, self._window)
            self._precision.add(key in confirmed, self._window)
        num_calls = Counter(key.name for key, *_ in facts.confirmed)
        for name, tool in self._tools.items():
            tool.calls_per_turn.add(num_calls[name], self._window)
        self._num_turns += 1
        if facts.draft_s is not None:
            self._draft_s.add(facts.draft_s, self._window)
            self._wasted_tool_s.add(facts.wasted_tool_s, self._window)
            self._is_probing_again = facts.could_save_s >= self._cost_s(facts.draft_s, facts.wasted_tool_s) > 0.0

    def _new_tool(self, name: str) -> _ToolEstimates:
        tool = self._tools[name] = _ToolEstimates(
            alpha=_Mean(self._alpha.value, PRIOR_WEIGHT),
            precision=_Mean(self._precision.value, PRIOR_WEIGHT),
            calls_per_turn=_Mean(0.0, min(self._num_turns, self._window)),
        )
        return tool


@dataclass(slots=True, kw_only=True)
class _TurnFacts:
    """`draft_s` is None where the draft was not asked. `confirmed` has, per call, whether it was predicted and
    eligible, and the tool's seconds."""

    G_s: float | None = None
    draft_s: float | None = None
    wasted_tool_s: float = 0.0
    predicted_s: dict[CallKey, float] = field(default_factory=dict)
    confirmed: list[tuple[CallKey, bool, bool, float | None]] = field(default_factory=list)

    @property
    def could_save_s(self) -> float:
        """The seconds that this turn saves if all that was predicted is launched."""
        return sum(
            _saving_s(self.G_s or 0.0, self.predicted_s[key], tool_s or 0.0, 1.0)
            for key, is_predicted, is_eligible, tool_s in self.confirmed
            if is_predicted and is_eligible and key in self.predicted_s
        )

    @classmethod
    def of(cls, events: Sequence[Event]) -> "_TurnFacts":
        facts = cls()
        turn_started_s = draft_started_s = 0.0
        for event in events:
            data = event.data
            match event.kind:
                case EventKind.TURN_STARTED:
                    turn_started_s = event.time_s
                case EventKind.DRAFT_STARTED:
                    draft_started_s = event.time_s
                case EventKind.DRAFT_ENDED:
                    facts.draft_s = event.time_s - draft_started_s
                case EventKind.CALL_PREDICTED:
                    facts.predicted_s[CallKey(data["name"], data["arguments"])] = event.time_s - turn_started_s
                case EventKind.GENERATION_FINISHED:
                    facts.G_s = data["finished_s"] - data["sent_s"]
                case EventKind.CALL_SETTLED:
                    key = CallKey(data["name"], data["arguments"])
                    facts.confirmed.append((key, data["is_predicted"], data["is_eligible"], data["duration_s"]))
                case EventKind.EXECUTION_ENDED if data["fate"] != Fate.USED:
                    facts.wasted_tool_s += data["duration_s"] or 0.0
                case _:
                    pass
        return facts
