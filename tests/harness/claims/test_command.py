"""`make claims`: the table, the last line, the record that it leaves, and its exit status."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import bench, provenance
from harness.claims import __main__ as command
from tests.harness.claims.entries import write_ledger
from tests.harness.claims.tables import row, write_cells

Run = Callable[[float], int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command on a ledger with this minimum, and return its exit status."""
    monkeypatch.setattr(bench, "FOLDER", tmp_path / "bench")
    monkeypatch.setattr(provenance, "collect", lambda seed: {"gpus": []})

    def run_command(minimum: float) -> int:
        file = write_ledger(tmp_path / "claims.yaml", minimum_testable_share=minimum)
        try:
            command.main(tmp_path / "results", file)
        except SystemExit as end:
            assert isinstance(end.code, int)
            return end.code
        return 0

    return run_command


def cells(folder: Path, *saved: float) -> Path:
    rows = [row(block, time_saved_pct=value) for block, value in enumerate(saved)]
    return write_cells(folder / "results" / "runs" / "local" / "fig1", *rows)


def test_the_last_line_has_the_counts_and_the_record_every_verdict(run, tmp_path, capsys):
    cells(tmp_path, 10.0, 10.5, 11.0)
    assert run(0.5) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    names = ("reproduced", "direction_only", "not_reproduced", "not_testable", "refuted_as_expected")
    assert [last[name] for name in names] == [1, 0, 0, 1, 0]
    assert (last["testable_share_of_paper"], last["minimum_testable_share"]) == (0.5, 0.5)
    record = json.loads((tmp_path / "bench" / "claims.json").read_text())
    assert {name: record[name] for name in last} == last
    assert [verdict["id"] for verdict in record["verdicts"]] == ["time-saved", "on-gpus"]
    assert record["provenance"] == {"gpus": []}


def test_the_table_has_claim_value_record_and_reason_and_names_what_would_make_the_rest(run, tmp_path, capsys):
    cells(tmp_path, 10.0, 10.5, 11.0)
    run(0.5)
    printed = " ".join(capsys.readouterr().err.split())
    for text in (
        "time-saved │ paper │ reproduced │ 5, or more │ 10.5 [",
        "measured │ runs/local/fig1/cells.parquet │ the interval meets the claim and excludes no effect",
        "not testable here: on-gpus no GPU here; `make big` takes 4 GPUs",
    ):
        assert text in printed


def test_a_claim_that_is_not_reproduced_is_no_error(run, tmp_path, capsys):
    cells(tmp_path, -10.0, -10.5, -11.0)
    assert run(0.5) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["not_reproduced"] == 1


def test_fewer_testable_claims_than_promised_end_with_status_1_after_the_last_line(run, tmp_path, capsys):
    cells(tmp_path, 10.0, 10.5, 11.0)
    assert run(0.51) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out.splitlines()[-1])["testable_share_of_paper"] == 0.5
    assert "50% of the paper's claims could be tested; the ledger promises 51%." in captured.err


def test_a_bad_ledger_and_a_record_that_cannot_be_read_end_with_status_2_and_no_verdict(run, tmp_path, capsys):
    assert run(2.0) == 2
    assert "minimum_testable_share is 2.0; it must lie between 0 and 1" in capsys.readouterr().err
    cells(tmp_path, 10.0).write_text("broken")
    assert run(0.5) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "results/runs/local/fig1/cells.parquet cannot be read" in captured.err
    assert not (tmp_path / "bench").exists()
