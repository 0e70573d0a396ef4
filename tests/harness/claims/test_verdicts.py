"""Verdicts from records: whose run decides, what is said where none can tell, and the counts."""

from pathlib import Path

import pytest

from harness import provenance
from harness.claims.ledger import read_claims
from harness.claims.rules import Outcome
from harness.claims.verdicts import RESULTS, Verdict, summarise, verdicts
from tests.harness.claims.entries import write_ledger
from tests.harness.claims.tables import row, write_cells


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return write_ledger(tmp_path / "claims.yaml", minimum_testable_share=0.5)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(provenance, "collect", lambda seed: {"gpus": []})
    return tmp_path / "results"


def cells(results: Path, place: str, *saved: float, noise_pct: float = 0.5) -> None:
    rows = [row(block, time_saved_pct=value, noise_pct=noise_pct) for block, value in enumerate(saved)]
    write_cells(results / place / "fig1", *rows)


def first(results: Path, ledger: Path) -> Verdict:
    return verdicts(results, ledger)[0]


def test_an_own_run_decides_where_it_can_tell(results, ledger):
    cells(results, "published/local", 10.0, 10.5, 11.0)
    cells(results, "runs/local", 0.0, 0.1, -0.1)
    found = first(results, ledger)
    assert (found.outcome, found.is_published, found.passed_over) == (Outcome.NOT_REPRODUCED, False, None)


def test_a_published_record_decides_where_there_is_no_own_run(results, ledger):
    cells(results, "published/local", 10.0, 10.5, 11.0)
    found = first(results, ledger)
    assert (found.outcome, found.is_published) == (Outcome.REPRODUCED, True)


def test_a_published_record_decides_where_the_own_run_leaves_it_open_and_that_is_said(results, ledger):
    cells(results, "published/local", 10.0, 10.5, 11.0)
    cells(results, "runs/smoke", 10.0)
    found = first(results, ledger)
    assert (found.outcome, found.is_published) == (Outcome.REPRODUCED, True)
    assert found.passed_over is not None
    assert found.passed_over.startswith("results/runs/smoke/fig1/cells.parquet: there is no interval")


def test_where_no_record_can_tell_the_own_one_says_why(results, ledger):
    cells(results, "published/local", 10.0)
    cells(results, "runs/local", 1.0, 10.0, 1.0, noise_pct=30.0)
    found = first(results, ledger)
    assert (found.outcome, found.is_published) == (Outcome.NOT_TESTABLE, False)
    assert "noise floor" in found.reason


def test_what_has_not_been_run_names_the_command(results, ledger):
    found = first(results, ledger)
    assert (found.outcome, found.evidence) == (Outcome.NOT_TESTABLE, None)
    assert found.reason == "not run yet: there are no cells of fig1; `make reproduce` makes it"


@pytest.mark.parametrize(
    ("gpus", "reason"),
    [
        ([], "no GPU here; `make big` takes 4 GPUs"),
        (["A100"], "not run yet: there are no cells of big; `make big` makes it, with 4 GPUs"),
    ],
)
def test_what_needs_a_gpu_says_so_where_there_is_none(results, ledger, monkeypatch, gpus, reason):
    monkeypatch.setattr(provenance, "collect", lambda seed: {"gpus": gpus})
    assert verdicts(results, ledger)[1].reason == reason


def test_records_from_a_gpu_are_judged_on_a_machine_without_one(results, ledger):
    write_cells(results / "runs" / "paper" / "big", row(0, num_ready_hits=6.0), row(1, num_ready_hits=6.0))
    assert verdicts(results, ledger)[1].outcome is not Outcome.NOT_TESTABLE


def test_the_counts_add_up_and_the_share_is_that_of_the_paper(results, ledger):
    cells(results, "published/local", 10.0, 10.5, 11.0)
    summary = summarise(verdicts(results, ledger)).to_json()
    assert summary == {
        "reproduced": 1,
        "direction_only": 0,
        "not_reproduced": 0,
        "not_testable": 1,
        "refuted_as_expected": 0,
        "from_published_records": 1,
        "claims_of_paper": 2,
        "testable_share_of_paper": 0.5,
    }


def test_a_verdict_has_its_record_and_its_command_as_plain_data(results, ledger):
    cells(results, "runs/local", 10.0, 10.5, 11.0)
    written = first(results, ledger).to_json()
    assert written["outcome"] == "reproduced"
    assert written["found"][1] == 10.5
    assert (written["file"], written["is_published"]) == ("results/runs/local/fig1/cells.parquet", False)
    assert (written["command"], written["claimed"], written["unit"]) == ("make reproduce", 5.0, "%")


def test_the_published_records_alone_test_the_share_of_the_papers_claims_that_is_promised(tmp_path):
    (tmp_path / "published").symlink_to(RESULTS / "published")
    found = verdicts(tmp_path)
    assert summarise(found).testable_share_of_paper >= read_claims().minimum_testable_share
    assert not any(verdict.outcome is Outcome.REPRODUCED and verdict.claim.expectation_is_input for verdict in found)


def test_each_published_record_has_what_the_ledger_looks_for_in_it(tmp_path):
    """A place that is misspelt would count as evidence that nobody has made yet."""
    (tmp_path / "published").symlink_to(RESULTS / "published")
    names = {file.stem for file in (RESULTS / "published").glob("*/*.json")}
    absent = {v.claim.file.name for v in verdicts(tmp_path) if v.evidence is None and v.claim.file is not None}
    assert not absent & names
