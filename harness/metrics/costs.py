"""What the tokens of a run cost, with the prices of its configuration."""

from collections.abc import Iterable

from harness.schema import Config, DraftKind, ModelConfig, PricesConfig
from precall.errors import ConfigError
from precall.events import Event, EventKind
from precall.ledger import Ledger
from precall.prices import Costs, TokenPrice, costs


def run_costs(config: Config, events: Iterable[Event]) -> Costs:
    """Return the costs of one run: of its target, and of the draft if one was asked."""
    events = list(events)
    is_drafted = any(event.kind is EventKind.DRAFT_STARTED for event in events)
    has_model = config.draft.kind is DraftKind.model
    draft = _listed_name(config.draft.model) if is_drafted and has_model else None
    prices = token_prices(config.prices)
    return costs(Ledger.from_events(events), prices, target=_listed_name(config.model), draft=draft)


def token_prices(prices: PricesConfig) -> dict[str, TokenPrice]:
    return {
        name: TokenPrice(input_usd=price.input_usd, output_usd=price.output_usd)
        for name, price in prices.models.items()
    }


def draft_price(config: Config) -> TokenPrice:
    """Return what the draft's tokens cost. Raises ConfigError where no price is given, and a cap cannot hold."""
    name, prices = _listed_name(config.draft.model), token_prices(config.prices)
    if name not in prices:
        limit_usd = config.speculation.max_draft_usd
        raise ConfigError(
            f"speculation.max_draft_usd is {limit_usd} and prices {config.prices.name} have none of {name}; they must. "
            f"Give prices.models.{name}, or leave the cap out."
        )
    return prices[name]


def _listed_name(model: ModelConfig) -> str:
    return model.path or model.name
