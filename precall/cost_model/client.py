"""The client side's cost model: times, speed-ups and their limits, as means over turns.

Legend of this package, the only place of the paper's symbols: N turns that end in a call (K on the engine side); G
seconds of one target generation, G_f of the final answer's; g of one draft sample; T of a tool; alpha call acceptance
rate. Engine side: X tokens prefilled, R tokens of reasoning, t of a call, t_o of a tool's output; phi seconds of
prefill per token; delta seconds of decoding per token; o seconds of API and eviction overhead, paid twice per request.
Ours: rho, how alike the samples of one turn are.
"""


def standard_time_s(*, N: float, G: float, T: float, G_f: float = 0.0) -> float:
    """Return T_standard = N (G + T), seconds of a trajectory without speculation. Source: eq:client-alg-speedup; the
    final answer's generation `G_f` is ours."""
    return N * (G + T) + G_f


def client_time_s(*, N: float, G: float, g: float, T: float, alpha: float, G_f: float = 0.0) -> float:
    """Return T_spec = alpha N max(G, g + T) + (1 - alpha) N (G + T), seconds of a trajectory with client-side
    speculation. Source: eq:client-alg-speedup; `G_f` is ours. Above g = G the equation has a draft cost time, which it
    does only to a target that waits for it."""
    return N * (alpha * max(G, g + T) + (1.0 - alpha) * (G + T)) + G_f


def client_speedup(*, G: float, g: float, T: float, alpha: float) -> float:
    """Return S_spec = T_standard / T_spec with client-side speculation. Source: eq:client-alg-speedup."""
    return standard_time_s(N=1.0, G=G, T=T) / client_time_s(N=1.0, G=G, g=g, T=T, alpha=alpha)


def largest_speedup(*, G: float, g: float, T: float) -> float:
    """Return S_max = (G + T) / max(G, g + T), the speed-up at alpha = 1. Source: lemma:client-alg-proof."""
    return client_speedup(G=G, g=g, T=T, alpha=1.0)


def speedup_bound(*, G: float, g: float, T: float) -> float:
    """Return 2 - 2g / (G + g + T), which no speed-up exceeds for g <= G. Source: lemma:client-alg-proof; the larger of
    G and g + T is at least their mean."""
    return 2.0 - 2.0 * g / (G + g + T)


def speedup_bound_by_acceptance(*, alpha: float) -> float:
    """Return 2 / (2 - alpha), which no speed-up exceeds whatever G, g and T are. Source: ours; max(G, g + T) is at
    least (G + T) / 2, so T_spec is at least (1 - alpha / 2) T_standard."""
    return 2.0 / (2.0 - alpha)


def saved_share_bound(*, alpha: float) -> float:
    """Return alpha / 2, the share of time that no G, g, T or G_f lets client-side speculation exceed. Source: ours;
    1 - (2 - alpha) / 2, from `speedup_bound_by_acceptance`."""
    return alpha / 2.0


def client_saved_share(*, G: float, g: float, T: float, alpha: float, G_f: float = 0.0) -> float:
    """Return the share of time that client-side speculation saves, where each call comes with `G_f` seconds of
    generation that nothing shortens, such as the final answer's. Source: ours, from lemma:client-alg-proof: of a call
    that was predicted, max(G, g + T) leaves min(T, G - g) of G + T. A draft slower than the target saves nothing."""
    return alpha * max(0.0, min(T, G - g)) / (G + T + G_f)


def best_tool_s(*, G: float, g: float) -> float:
    """Return the tool time at which the saved share is largest, G - g. Source: ours; up to there the share grows with
    T, as T / (G + T + G_f), and from there it falls."""
    return max(0.0, G - g)


def best_speedup(*, G: float, g: float) -> float:
    """Return 2 - g/G, the speed-up at alpha = 1 and the best tool time; 1 for a draft slower than the target. Source:
    ours; (G + T) / max(G, g + T) at T = G - g."""
    return max(1.0, 2.0 - g / G)
