"""Single turns of client-side speculation. E[max(G, g + T)] is at least the maximum of the means, so a prediction is
made turn by turn and then averaged. Symbols: see precall/cost_model/client.py."""

from collections import defaultdict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnTimes:
    """One turn as the cost model sees it, in seconds: G and g, the tools' times in the order of the calls, and for
    each call whether speculation will have it (predicted, allowed and not dropped). No tools: the final answer."""

    G: float
    g: float
    tool_s: tuple[float, ...] = ()
    is_hit: tuple[bool, ...] = ()


def turn_time_s(turn: TurnTimes, *, speculate: bool) -> float:
    """Return the seconds of one turn. Source: ours; with one call it is max(G, g + T) on a hit and G + T on a miss, the
    terms of lemma:client-alg-proof. Calls of a turn are settled in their order, and all predicted ones start at g."""
    time_s = turn.G
    for tool_s, is_hit in zip(turn.tool_s, turn.is_hit, strict=True):
        time_s = max(time_s, turn.g + tool_s) if speculate and is_hit and turn.g <= turn.G else time_s + tool_s
    return time_s


def expected_turn_time_s(*, G: float, g: float, tool_s: tuple[float, ...], alpha: tuple[float, ...]) -> float:
    """Return the expected seconds of a turn whose calls are hits with the probabilities `alpha`, independently (0 for
    one that may not run ahead).

    Source: ours; `turn_time_s` averaged over the hits. After each call the possible times are kept with their
    probabilities: with one call alpha max(G, g + T) + (1 - alpha)(G + T), a term of eq:client-alg-speedup.
    """
    if g > G:
        return G + sum(tool_s)
    times = {G: 1.0}
    for each_s, likelihood in zip(tool_s, alpha, strict=True):
        following: dict[float, float] = defaultdict(float)
        for time_s, probability in times.items():
            following[max(time_s, g + each_s)] += likelihood * probability
            following[time_s + each_s] += (1.0 - likelihood) * probability
        times = following
    return sum(time_s * probability for time_s, probability in times.items())
