"""The cost model of speculation, client side and engine side, one function per equation.

Legend (the paper's symbols, used here alone): G seconds of one target generation; g of one draft generation;
T seconds of a tool; alpha call acceptance rate; N turns. Engine side: phi seconds of prefill per token, delta seconds
of decoding per token, o seconds of API and eviction overhead, paid twice per request.
"""

from dataclasses import dataclass


def client_speedup(*, G: float, g: float, T: float, alpha: float) -> float:
    """Return T_standard / T_spec with client-side speculation. Source: eq:client-alg-speedup."""
    return (G + T) / (alpha * max(G, g + T) + (1.0 - alpha) * (G + T))


def client_saved_share(*, G: float, g: float, T: float, alpha: float, G_f: float = 0.0) -> float:
    """Return the share of time that client-side speculation saves, where each call comes with `G_f` seconds of
    generation that nothing shortens, such as the final answer's. Source: ours, from lemma:client-alg-proof: of a call
    that was predicted, max(G, g + T) leaves min(T, G - g) of G + T. A draft slower than the target saves nothing."""
    return alpha * max(0.0, min(T, G - g)) / (G + T + G_f)


def best_tool_s(*, G: float, g: float) -> float:
    """Return the tool time at which the saved share is largest, G - g. Source: ours; up to there the share grows with
    T, as T / (G + T + G_f), and from there it falls."""
    return max(0.0, G - g)


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


def resident_turn_time_s(*, R_s: float, t_s: float, drafted_s: float, g: float, T: float, post_s: float) -> float:
    """Return the seconds from a turn's beginning to the moment at which the engine goes on with its result (O3), of a
    call that was predicted and of which the engine hears, after g + `post_s`, before the turn ends.

    `R_s` of reasoning are followed by `t_s` of writing the call, or by `drafted_s` where the engine has heard of it by
    then (O2). For a result that comes later than the call the engine waits. Source: ours; eq:spec-engine has neither g
    nor a maximum, and is this with everything in time.
    """
    known_s = g + post_s
    return max(R_s + (drafted_s if known_s <= R_s else t_s), known_s + T)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRates:
    """Seconds of prefill per token, of decoding per token, and of overhead, paid twice per request."""

    phi: float
    delta: float
    o: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineWork:
    """A trajectory as the engine's cost model counts it.

    `num_requests` are all its turns, `num_calls` those of them that end in a call. `context_tokens`: the sum of X_i, of
    every request's whole prompt; `fresh_context_tokens`: what prefix caching leaves of it, X_1 + sum of (t_i + t_oi).
    `decoded_tokens`: the sum of (R_i + t_i), `call_tokens` that of t_i; `tool_s` that of T_i.
    """

    num_requests: float
    num_calls: float
    context_tokens: float
    fresh_context_tokens: float
    decoded_tokens: float
    call_tokens: float
    tool_s: float


def engine_time_s(
    work: EngineWork, rates: EngineRates, *, is_prefix_caching: bool, overlap: float, drafted: float, resident: float
) -> float:
    """Return the seconds of a trajectory, given the shares of calls whose tool time is hidden (O1), that are verified
    in one pass (O2), and after which the sequence stays (O3).

    All shares 0: eq:spec-engine-vanilla, or eq:spec-engine-pref-cache. All alpha, every turn a call: eq:spec-engine.
    Ours: one share for each optimisation where the paper has one alpha, and turns without a call (answers), which are
    requests that nothing saves. As in the paper there is no g and no maximum: results are in time.
    """
    num_kept = resident * work.num_calls
    fresh_share = 1.0 if is_prefix_caching else num_kept / work.num_requests
    context_tokens = fresh_share * work.fresh_context_tokens + (1.0 - fresh_share) * work.context_tokens
    decode_steps = work.decoded_tokens - drafted * (work.call_tokens - work.num_calls)
    return (
        2.0 * rates.o * (work.num_requests - num_kept)
        + rates.phi * context_tokens
        + rates.delta * decode_steps
        + (1.0 - overlap) * work.tool_s
    )
