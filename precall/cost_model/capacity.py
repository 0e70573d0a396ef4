"""What shared machines do to G, g and alpha: fuller batches, several samples, agents that queue for a draft. Symbols:
see precall/cost_model/client.py; M agents at once, R servers of the draft."""

from collections.abc import Callable
from math import prod


def sampled_alpha(*, alpha: float, rho: float, num_samples: int) -> float:
    """Return the call acceptance rate of `num_samples` samples together, where one alone has `alpha`.

    Source: ours. A turn's calls differ in how likely a sample has them; with a beta distribution of that likelihood, of
    mean alpha and intraclass correlation `rho`, the i-th sample fails after i - 1 others have with probability
    (b + i - 1) / (a + b + i - 1), where a + b = 1/rho - 1 and b = (1 - alpha)(a + b) (beta-binomial). rho 0:
    independent samples, 1 - (1 - alpha)^lambda; rho 1: samples that all say the same, alpha.
    """
    if rho >= 1.0:
        return alpha
    # (b + i) / (a + b + i), numerator and denominator multiplied by rho / (1 - rho)
    odds = rho / (1.0 - rho)
    return 1.0 - prod((1.0 - alpha + i * odds) / (1.0 + i * odds) for i in range(num_samples))


def sampled_g_s(*, g: float, per_sample_s: float, num_samples: int) -> float:
    """Return g where `num_samples` samples are drawn at once. Source: ours; they share the batches of one engine, and
    each further one adds `per_sample_s` (0: hardware to spare)."""
    return g + (num_samples - 1) * per_sample_s


def loaded_G_s(*, G: float, per_agent_s: float, num_agents: int, cycle_s: Callable[[float], float]) -> float:
    """Return G beside `num_agents` - 1 other agents, where a generation takes `G` alone and `per_agent_s` more for each
    other that generates all the while. `cycle_s` gives the mean seconds of a turn with its tools by G: G + T without
    speculation.

    Source: ours. An agent generates for the share G' / C(G') of its time, so that
    G' = G + per_agent_s (M - 1) G' / C(G'): as speculation shortens the cycle, the batch fills. Where C is convex, at
    least G' and no steeper (as that of `expected_turn_time_s` is for g <= G), the right side grows with G' and is
    concave and positive at 0, so that there is one solution, found by halving.
    """
    low, high = G, G + per_agent_s * (num_agents - 1)
    for _ in range(60):
        middle = (low + high) / 2.0
        if G + per_agent_s * (num_agents - 1) * middle / cycle_s(middle) > middle:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


def queued_g_s(*, g: float, between_s: float, num_agents: int, num_servers: int) -> float:
    """Return the mean seconds from asking the draft to its answer, waiting included, where `num_agents` agents share
    `num_servers` servers that each serve one turn at a time in `g`. An agent asks again `between_s` after an answer.

    Source: ours; the machine repair model M/M/R//M: with n agents at the draft, the next comes at rate
    (M - n) / between_s and one is answered at rate min(n, R) / g; Little's law on its stationary distribution. Exact
    for exponential service; times that vary less wait less, and at an engine that batches nobody waits while it has
    room. Where each agent is bound to one server: M / R agents and one server.
    """
    if between_s <= 1e-9 * g:
        return g * max(1.0, num_agents / num_servers)
    weights = [1.0]  # of n agents at the draft, up to a factor
    for n in range(num_agents):
        weights.append(weights[-1] * (num_agents - n) / between_s * g / min(n + 1, num_servers))
        if weights[-1] > 1e200:  # only ratios matter
            weights = [weight / weights[-1] for weight in weights]
    num_at_draft = sum(n * weight for n, weight in enumerate(weights))
    num_away = sum((num_agents - n) * weight for n, weight in enumerate(weights))
    return num_at_draft * between_s / num_away
