"""A page made of own and published records, once for all tests that only look at it."""

from pathlib import Path

import pytest

from harness.report.__main__ import report
from tests.harness.claims.entries import write_ledger
from tests.harness.report.records import figure, own_results, published_results


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results with own and published records, and two figures."""
    found = tmp_path_factory.mktemp("report") / "results"
    published_results(own_results(found))
    paper = found / "paper" / "fig1.csv"
    paper.parent.mkdir()
    paper.write_text("# read off the figure\nmethod,tool_latency_s\nvanilla,0.5\n")
    names = ("runs/local/fig1/cells.parquet", "paper/fig1.csv", "published/local/some_bench.json")
    figure(found, "fig1_throughput", {f"results/{name}": "0" * 64 for name in names})
    figure(found, "model", {"origin": "modelled", "equation": "eq:x"})
    return found


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ledger(tmp_path_factory.mktemp("ledger") / "claims.yaml", minimum_testable_share=0.5)


@pytest.fixture(scope="session")
def page(results: Path, ledger: Path) -> Path:
    """The file of the report."""
    file = results / "report.html"
    file.write_text(report(results, ledger)[0], encoding="utf-8")
    return file
