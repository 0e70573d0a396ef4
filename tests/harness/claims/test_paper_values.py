"""What the ledger expects of the paper is what its figures say: each value, computed anew from results/paper."""

from collections.abc import Iterable
from statistics import fmean

import pytest

from harness.backends.simulated.paper import FOLDER, published
from harness.claims import calculations
from harness.claims.calculations import CALCULATIONS, MAIN_MODEL_USD
from harness.claims.ledger import read_claims
from harness.claims.rules import Outcome
from harness.claims.schema import Claimant, Expected, ValueFrom
from harness.claims.verdicts import verdicts

CLAIMS = {claim.id: claim for claim in read_claims().claims}


def points(figure: str, series: str, along: str, value: str) -> dict[tuple[str, float], float]:
    """Return the points of a figure by series and place."""
    return {(row[series], float(row[along])): float(row[value]) for row in published(figure)}


FIG1 = points("fig1_throughput", "method", "tool_latency_s", "throughput_tok_per_s")
GAIN = {s: 100.0 * (FIG1["speculative", s] / FIG1["vanilla", s] - 1.0) for arm, s in FIG1 if arm == "vanilla"}
FIG5_HITS = points("fig5_hit_rate", "draft_model", "num_samples", "hit_rate")
FIG5_SPEED = points("fig5_hit_rate", "draft_model", "num_samples", "throughput_tok_per_s")
FIG6 = points("fig6_time_saved_client", "draft_model", "tool_latency_s", "time_saved_pct")
FIG7 = {int(row["num_samples"]): float(row["time_saved_pct"]) for row in published("fig7_cost")}
FIG7_USD = {int(row["num_samples"]): float(row["added_cost_usd_per_100_turns"]) for row in published("fig7_cost")}
FIG8 = points("fig8_client_vs_engine", "method", "tool_latency_s", "time_saved_pct")


def of(draft: str) -> list[float]:
    return [value for (name, _), value in FIG6.items() if name == draft]


def advantage(latencies: Iterable[float]) -> float:
    """Points of time saved that the engine side has over the client side, on average."""
    return fmean(FIG8["engine", s] - FIG8["client", s] for s in latencies)


HALF = {
    "throughput-gain": fmean(value for s, value in GAIN.items() if s > 0.0),
    "gain-grows-with-latency": GAIN[2.0] - GAIN[0.5],
    "gain-falls-beyond-peak": GAIN[2.0] - GAIN[3.0],
    "throughput-grows-with-hit-rate": 100.0 * (FIG5_SPEED["xLAM-2-8B", 1] / FIG5_SPEED["none", 0] - 1.0),
    "time-saved": fmean(of("xLAM-2-8B")),
    "larger-draft-predicts-more": FIG5_HITS["xLAM-2-8B", 1] - FIG5_HITS["xLAM-2-1B", 1],
    "more-samples-predict-more": FIG5_HITS["xLAM-2-1B", 9] - FIG5_HITS["xLAM-2-1B", 1],
    "more-samples-hit-more-live": FIG5_HITS["xLAM-2-1B", 9] - FIG5_HITS["xLAM-2-1B", 1],
    "larger-draft-saves-more": fmean(of("xLAM-2-8B")) - fmean(of("xLAM-2-1B")),
    "fig8-engine-loses": advantage([1.5, 2.0, 2.5]),
    "fig7-more-samples": FIG7[9] - FIG7[1],
}
"""Effects of which half is the smallest that counts."""

WHOLE = {
    "no-gain-without-latency": GAIN[0.0],
    "one-sample-of-a-large-draft": FIG5_HITS["xLAM-2-8B", 9] - FIG5_HITS["xLAM-2-8B", 1],
    "fig1-baseline": FIG1["vanilla", 0.0],
    "fig1-largest-gain": max(GAIN.values()),
    "fig6-8b-short-tools": FIG6["xLAM-2-8B", 0.5],
    "fig6-8b-long-tools": FIG6["xLAM-2-8B", 3.0],
    "fig6-3b-most": max(of("xLAM-2-3B")),
    "fig6-1b-most": max(of("xLAM-2-1B")),
    "fig5-8b-one-sample": FIG5_HITS["xLAM-2-8B", 1],
    "fig5-1b-one-sample": FIG5_HITS["xLAM-2-1B", 1],
    "fig5-1b-nine-samples": FIG5_HITS["xLAM-2-1B", 9],
    "fig8-client": FIG8["client", 0.5],
    "fig8-engine": FIG8["engine", 0.5],
    "fig7-one-sample": FIG7[1],
    "fig7-nine-samples": FIG7[9],
    "fig7-cost-of-nine": 100.0 * FIG7_USD[9] / MAIN_MODEL_USD,
}

ADDED = 1.0 + 0.01 * advantage([0.1, 0.2, 0.3, 0.4, 0.5, 1.0]) / 2.0
SHARES = {"engine-side-adds": ADDED, "reentry-costs-with-prefix-caching": ADDED}


def test_each_value_is_that_of_the_figures():
    expected = {name: value / 2.0 for name, value in HALF.items()} | WHOLE
    assert {name: CLAIMS[name].value for name in expected} == pytest.approx(expected, rel=0.02)
    assert {name: CLAIMS[name].value for name in SHARES} == pytest.approx(SHARES, abs=0.001)


def test_no_claim_of_the_paper_with_a_figure_is_left_out():
    measured = {
        name
        for name, claim in CLAIMS.items()
        if (claim.of, claim.value_from) == (Claimant.paper, ValueFrom.paper) and claim.calculation is None
    }
    equations = {"target-never-waits", "early-exit-steps", "early-exit-same-output"}
    assert measured - equations == HALF.keys() | WHOLE.keys() | SHARES.keys()


def test_the_price_of_the_main_model_is_that_of_the_file():
    first = (FOLDER / "fig7_cost.csv").read_text().splitlines()[0]
    assert f"Main model cost: {MAIN_MODEL_USD} USD per 100 turns" in first


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("largest_gain_tok_per_s", 195.5, 197.5),  # 1132.9 - 936.4 = 196.5, each read to 0.5
        ("smallest_time_saved_pct", 1.4, 1.6),
        ("largest_added_cost_pct", 36.39, 36.55),  # 0.221 / 0.606, to half of the last digit
        ("smallest_engine_advantage_points", -0.9, -0.5),  # 4.4 - 5.1 = -0.7, each read to 0.1
    ],
)
def test_what_the_figures_say_of_a_sentence_is_the_point_and_how_well_it_can_be_read(name, least, most):
    assert CALCULATIONS[name].function() == pytest.approx((least, most), abs=0.01)


REFUTED = {name for name, claim in CLAIMS.items() if claim.expected is Expected.refuted}


def test_the_papers_own_figures_refute_four_of_its_sentences(tmp_path):
    found = {verdict.claim.id: verdict.outcome for verdict in verdicts(tmp_path)}
    assert len(REFUTED) == 4
    assert {name for name, outcome in found.items() if outcome is Outcome.REFUTED_AS_EXPECTED} == REFUTED


def test_a_sentence_that_its_figure_supports_is_not_refuted(tmp_path, monkeypatch):
    changed = [dict(row) for row in published("fig1_throughput")]
    for row in changed:
        row["throughput_tok_per_s"] = "1300.0" if row["method"] == "speculative" else "900.0"
    monkeypatch.setattr(calculations, "published", lambda figure: changed if figure == "fig1_throughput" else [])
    assert calculations.largest_gain_tok_per_s() == (399.0, 401.0)
    for name in ("smallest_time_saved_pct", "largest_added_cost_pct", "smallest_engine_advantage_points"):
        monkeypatch.setitem(CALCULATIONS, name, CALCULATIONS["largest_gain_tok_per_s"])
    found = {verdict.claim.id: verdict for verdict in verdicts(tmp_path)}
    assert found["several-hundred-tokens"].outcome is Outcome.NOT_REPRODUCED
    assert "do not exclude" in found["several-hundred-tokens"].reason
