"""The engine side's cost model: resident turns with a draft that takes time, and whole trajectories by what each
optimisation saves (O1 overlap, O2 early exit, O3 residency). Symbols: see precall/cost_model/client.py."""

from collections.abc import Sequence
from dataclasses import dataclass


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
class EngineTurn:
    """One turn on the engine side. `X` tokens are computed of its prompt where it begins a request; where its sequence
    has stayed, `t_o` + 1 of the result before it (the last token of a call was never computed). R, t and T as in the
    legend; `is_hit`: the draft has its call. A turn without a call has t = 0."""

    X: float
    t_o: float
    R: float
    t: float = 0.0
    T: float = 0.0
    is_hit: bool = False


def engine_side_time_s(turns: Sequence[EngineTurn], rates: EngineRates, *, g: float) -> float:
    """Return the seconds of a trajectory with O1, O2 and O3 and a draft that takes `g`, whose call a client announces
    to the engine at once.

    Source: ours; eq:spec-engine-pref-cache where nothing is predicted, and `resident_turn_time_s` for what is. A
    message takes o. The draft of a request's first turn is asked with it; that of a later turn when the client hears
    that the engine goes on. A call of which the engine hears only after the turn's end is a hit of the client side:
    max(2o + phi X + delta (R + t), g + T), and the next turn is a request. A verified call costs phi for its tokens.
    """
    now_s = 0.0  # at the client, where the turn begins a request; at the engine, where its sequence has stayed
    is_resident = False
    for turn in turns:
        begin_s = rates.phi * (turn.t_o + 1.0) if is_resident else rates.o + rates.phi * turn.X
        asked_s = rates.o if is_resident else 0.0
        reasoned_s = begin_s + rates.delta * turn.R
        ended_s = reasoned_s + rates.delta * turn.t
        if turn.is_hit and asked_s + g + rates.o <= ended_s:
            now_s += resident_turn_time_s(
                R_s=reasoned_s,
                t_s=rates.delta * turn.t,
                drafted_s=rates.delta + rates.phi * turn.t,
                g=asked_s + g,
                T=turn.T,
                post_s=rates.o,
            )
            is_resident = True
        else:
            heard_s = ended_s + rates.o
            launched_s = asked_s + g
            is_late_hit = turn.is_hit and launched_s <= heard_s
            now_s += max(heard_s, launched_s + turn.T) if is_late_hit else heard_s + turn.T
            is_resident = False
    return now_s


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
