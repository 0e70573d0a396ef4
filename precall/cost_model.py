"""The cost model of client-side speculation, one function per equation.

Legend (the paper's symbols, used here alone): G seconds of one target generation; g of one draft generation;
T seconds of a tool; alpha call acceptance rate; N turns.
"""

from dataclasses import dataclass


def client_speedup(*, G: float, g: float, T: float, alpha: float) -> float:
    """Return T_standard / T_spec with client-side speculation. Source: eq:client-alg-speedup."""
    return (G + T) / (alpha * max(G, g + T) + (1.0 - alpha) * (G + T))


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
