"""What tokens cost, by a table of prices that the user gives."""

from collections.abc import Mapping
from dataclasses import dataclass

from precall.errors import ConfigError
from precall.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrice:
    """US dollars per million tokens of a model. Input that the endpoint had cached is priced as any other, so that a
    cost is at most too high by its discount."""

    input_usd: float
    output_usd: float

    def __post_init__(self) -> None:
        for name in ("input_usd", "output_usd"):
            value = getattr(self, name)
            if not 0.0 <= value < float("inf"):
                raise ConfigError(
                    f"{name} of a price is {value}; it must be 0 or more. Leave out a model without a price."
                )

    def usd(self, *, num_input: int, num_output: int) -> float:
        """Return the US dollars that this many tokens cost."""
        return (self.input_usd * num_input + self.output_usd * num_output) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """US dollars per 100 turns, the paper's unit: the target's, and what speculation adds, the draft's. None where the
    price or the number of tokens is not known. Samples that were cut off are not in it: `Ledger.num_cut_off_drafts`."""

    target_usd_per_100_turns: float | None
    added_usd_per_100_turns: float | None


def costs(ledger: Ledger, prices: Mapping[str, TokenPrice], *, target: str, draft: str | None) -> Costs:
    """Return what the turns of a ledger cost with these models; `draft` is None where none was asked."""
    of_target = _usd(prices.get(target), ledger.num_prompt_tokens, ledger.num_output_tokens)
    added = 0.0
    if draft is not None:
        added = _usd(prices.get(draft), ledger.num_draft_prompt_tokens, ledger.num_draft_output_tokens)
    return Costs(
        target_usd_per_100_turns=_per_100(of_target, ledger.num_turns),
        added_usd_per_100_turns=_per_100(added, ledger.num_turns),
    )


def _usd(price: TokenPrice | None, num_input: int | None, num_output: int | None) -> float | None:
    if price is None or num_input is None or num_output is None:
        return None
    return price.usd(num_input=num_input, num_output=num_output)


def _per_100(usd: float | None, num_turns: int) -> float | None:
    return None if usd is None or not num_turns else 100.0 * usd / num_turns
