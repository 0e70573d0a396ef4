"""A cap on what a paid draft may cost."""

import math
from typing import Protocol

from precall.errors import ConfigError
from precall.prices import TokenPrice
from precall.usage import UsageMeter


class Metered(Protocol):
    """A client that counts what its requests take, such as precall.ChatClient."""

    @property
    def usage(self) -> UsageMeter: ...


class SpendingCap:
    """Says when the draft is not to be asked any more: once the requests of `clients` have cost `limit_usd`.

    `clients` are the draft's own; share one cap between all trajectories that share them. What is under way when the
    cap is reached is finished, so that the spend ends above it by at most the requests of the turns that are going on.
    Requests whose usage never came count with estimated tokens (precall/usage.py), cached input at the full price: the
    endpoint's bill is rather lower. The target is never held back by it.
    """

    def __init__(self, limit_usd: float, price: TokenPrice, *clients: Metered) -> None:
        if not 0.0 < limit_usd < math.inf:
            raise ConfigError(f"limit_usd is {limit_usd}; it must be > 0. Without a draft nothing is spent on one.")
        if not clients:
            raise ConfigError("A spending cap needs the clients of the draft, whose requests it counts; give one.")
        self.limit_usd = limit_usd
        self._price = price
        self._clients = clients

    @property
    def spent_usd(self) -> float:
        """What the clients' requests have cost so far."""
        usages = [client.usage for client in self._clients]
        return self._price.usd(
            num_input=sum(usage.num_prompt_tokens + usage.num_estimated_prompt_tokens for usage in usages),
            num_output=sum(usage.num_output_tokens + usage.num_estimated_output_tokens for usage in usages),
        )

    @property
    def is_reached(self) -> bool:
        return self.spent_usd >= self.limit_usd
