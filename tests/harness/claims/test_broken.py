"""Speculation that is broken on purpose: the claims that it breaks turn not reproduced, and no other."""

import shutil
from pathlib import Path

import pytest

from harness.claims.rules import Outcome
from harness.claims.verdicts import verdicts
from tests.harness.claims.broken import records, say_origin

GAINS = {"throughput-gain", "time-saved", "gain-grows-with-latency", "throughput-grows-with-hit-rate"}
TELLABLE = {*GAINS, "target-never-waits", "no-tool-runs-twice", "prediction-holds"}
"""The claims that records of these experiments can tell. The draft has every call here, so that it has 80 % of them is
not among them."""


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The records with nothing broken."""
    results = tmp_path_factory.mktemp("unbroken")
    records("nothing", results)
    return results


@pytest.mark.parametrize(
    ("what", "broken"),
    [
        ("waits for the draft", {"target-never-waits"}),
        ("never hits", {*GAINS, "no-tool-runs-twice", "prediction-holds"}),
        ("runs tools twice", {"no-tool-runs-twice"}),
    ],
)
def test_what_is_broken_is_not_reproduced_and_nothing_else(what, broken, tmp_path):
    records(what, tmp_path)
    outcomes = {verdict.claim.id: verdict.outcome for verdict in verdicts(tmp_path)}
    assert {name for name in TELLABLE if outcomes[name] is Outcome.NOT_REPRODUCED} == broken


def test_with_nothing_broken_all_of_them_are_reproduced(unbroken):
    outcomes = {verdict.claim.id: verdict.outcome for verdict in verdicts(unbroken)}
    assert {outcomes[name] for name in TELLABLE} == {Outcome.REPRODUCED}


def test_a_modelled_run_is_no_evidence_for_what_an_engine_does(unbroken, tmp_path):
    results = shutil.copytree(unbroken, tmp_path / "results")
    say_origin(results, "modelled")
    (found,) = [verdict for verdict in verdicts(results) if verdict.claim.id == "throughput-gain"]
    assert found.outcome is Outcome.NOT_TESTABLE
    assert "is modelled; the claim takes measured or replayed" in found.reason
