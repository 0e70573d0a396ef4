"""What tokens cost: computed by hand, unknown where anything is, and of the ratio that the paper's figure has."""

import csv
from dataclasses import replace

import pytest

from harness.metrics.costs import run_costs, token_prices
from harness.provenance import ROOT
from precall.errors import ConfigError
from precall.ledger import Ledger
from precall.prices import Costs, TokenPrice, costs
from tests.harness.configs import config_of
from tests.harness.metrics.timelines import asked, drafted, generated

PRICES = {"big": TokenPrice(input_usd=1.25, output_usd=10.0), "small": TokenPrice(input_usd=0.05, output_usd=0.4)}
LEDGER = replace(
    Ledger.from_events([]),
    num_turns=50,
    num_prompt_tokens=2_000_000,
    num_output_tokens=100_000,
    num_draft_prompt_tokens=6_000_000,
    num_draft_output_tokens=50_000,
)


def test_costs_are_per_100_turns_and_added_is_what_the_draft_costs():
    # Target 2 x 1.25 + 0.1 x 10 = 3.5, draft 6 x 0.05 + 0.05 x 0.4 = 0.32 dollars, in 50 turns.
    found = costs(LEDGER, PRICES, target="big", draft="small")
    assert found.target_usd_per_100_turns == pytest.approx(7.0)
    assert found.added_usd_per_100_turns == pytest.approx(0.64)
    assert costs(LEDGER, PRICES, target="big", draft=None).added_usd_per_100_turns == 0.0


def test_what_has_no_price_or_was_not_counted_has_no_cost():
    assert costs(LEDGER, {}, target="big", draft="small") == Costs(
        target_usd_per_100_turns=None, added_usd_per_100_turns=None
    )
    unknown = replace(LEDGER, num_prompt_tokens=None, num_draft_output_tokens=None)
    assert costs(unknown, PRICES, target="big", draft="small") == costs(LEDGER, {}, target="", draft="")
    assert costs(Ledger.from_events([]), PRICES, target="big", draft="small").target_usd_per_100_turns is None


def test_the_listed_prices_are_those_behind_the_papers_figure():
    prices = token_prices(config_of().prices)
    target, draft = prices["gpt-5"], prices["gpt-5-nano"]
    ratio = target.input_usd / draft.input_usd
    assert ratio == pytest.approx(target.output_usd / draft.output_usd) == pytest.approx(25.0)
    # With prices in one ratio, and both models reading and writing about the same, so are the costs.
    with (ROOT / "results" / "paper" / "fig7_cost.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    assert 0.606 / float(rows[0]["added_cost_usd_per_100_turns"]) == pytest.approx(ratio, rel=0.03)


def test_the_models_of_a_run_are_priced_by_path_or_name_and_a_draft_that_was_never_asked_adds_nothing():
    config = replace(
        config_of(),
        model=replace(config_of().model, path="gpt-5"),
        draft=replace(config_of().draft, model=replace(config_of().draft.model, path="", name="gpt-5-nano")),
    )
    base = [generated(0.0, 2.0)]  # 100 tokens in, 10 out
    spec = [*base, asked(0.0), drafted(0.0, 1.0)]  # 50 in, 3 out
    target_usd = 100 * (100 * 1.25 + 10 * 10.0) / 1e6
    assert run_costs(config, base) == Costs(target_usd_per_100_turns=target_usd, added_usd_per_100_turns=0.0)
    assert run_costs(config, spec).added_usd_per_100_turns == pytest.approx(100 * (50 * 0.05 + 3 * 0.4) / 1e6)
    unpriced = run_costs(config_of(), spec)
    assert (unpriced.target_usd_per_100_turns, unpriced.added_usd_per_100_turns) == (None, None)


@pytest.mark.parametrize("price", [-1.0, float("nan"), float("inf")])
def test_a_price_that_is_none_is_refused(price):
    with pytest.raises(ConfigError, match="input_usd of a price is"):
        TokenPrice(input_usd=price, output_usd=1.0)
