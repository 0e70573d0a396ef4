"""Speculation that is broken on purpose: the claims that it breaks turn not reproduced, and no other."""

from pathlib import Path

import pytest

from harness.claims.rules import Outcome
from harness.claims.verdicts import verdicts
from tests.harness.claims.broken import BREAKS, records

GAINS = {"throughput-gain", "time-saved", "gain-grows-with-latency", "throughput-grows-with-hit-rate"}
JUDGED = {*GAINS, "target-never-waits", "no-tool-runs-twice"}
"""Claims that the records of these experiments can tell; others of them need what the experiments leave out."""


@pytest.fixture(scope="module", params=BREAKS)
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Outcome]]:
    results: Path = tmp_path_factory.mktemp("results")
    records(request.param, results)
    return request.param, {verdict.claim.id: verdict.outcome for verdict in verdicts(results)}


BROKEN = {
    "nothing": set(),
    "waits for the draft": {"target-never-waits"},
    "never hits": {*GAINS, "no-tool-runs-twice"},
    "runs tools twice": {"no-tool-runs-twice"},
}


def test_what_is_broken_is_not_reproduced_and_all_else_is(outcomes):
    what, by_claim = outcomes
    print(what, by_claim)
    assert {name for name, outcome in by_claim.items() if outcome is Outcome.NOT_REPRODUCED} == BROKEN[what]
    assert all(by_claim[name] is Outcome.REPRODUCED for name in JUDGED - BROKEN[what])
