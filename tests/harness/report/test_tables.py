"""The tables of the report, and what is said of the records."""

import hashlib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from harness.report import data_tables
from harness.report.cell_tables import cells_table, read_cells, settings_table
from harness.report.data_tables import Column, Table, bench_table, csv_table, table
from harness.report.environment import by_environment, environments, records_in, records_table
from harness.report.figures import figures_in
from harness.report.head import extents
from harness.report.links import Link
from tests.harness.report.records import CELL, figure, own_results, published_results


def rows(found: Table) -> list[dict[str, Any]]:
    keys = [column["key"] for column in found["columns"]]
    return [dict(zip(keys, row, strict=True)) for row in found["rows"]]


def test_cells_are_marked_as_own_or_published_and_lead_to_their_records(results: Path) -> None:
    found = rows(cells_table(read_cells(results), results, {f"runs/local/fig1/{CELL}"}))
    assert [(row["records"], row["folder"], row["block"]) for row in found[::3]] == [
        ("own", "runs/local/fig1", 0),
        ("published", "published/local/fig1", 0),
    ]
    assert found[0]["cell"] == [CELL, f"runs/local/fig1/{CELL}/"]
    assert found[0]["timeline"] == ["timeline", f"#timeline=runs/local/fig1/{CELL}"]
    assert found[1]["cell"] == [CELL.replace("b0", "b1"), None], "this one has no run folder"
    assert found[3]["timeline"] is None


def test_a_setting_has_its_mean_with_limits_over_blocks(results: Path) -> None:
    own, published = rows(settings_table(read_cells(results), results))
    low, mid, high = own["time_saved_pct"]
    assert low < mid < high and mid == pytest.approx(11.0)
    assert (own["num_blocks"], own["residual_pct"]) == (3, pytest.approx(-1.0))
    assert (published["records"], published["time_saved_pct"][1]) == ("published", pytest.approx(9.0))


def test_cells_of_before_a_column_was_kept_still_have_their_row(tmp_path: Path) -> None:
    file = own_results(tmp_path) / "runs" / "local" / "fig1" / "cells.parquet"
    pd.read_parquet(file).drop(columns=["eligible_share"]).to_parquet(file)
    (row,) = rows(settings_table(read_cells(tmp_path), tmp_path))
    assert row["eligible_share"] is None and row["num_samples"] is None


def test_what_is_not_a_number_is_null_and_a_whole_number_stays_one() -> None:
    columns = (Column(key="a", label="a", kind="number"), Column(key="b", label="b"), Column(key="c", label="c"))
    found = table(columns, [{"a": float("nan"), "b": Link(text="x", href=None)}, {"a": 3.0, "c": (None, 0.5)}])
    assert found["rows"] == [[None, ["x", None], None], [3, None, [None, 0.5]]]


def test_rows_beyond_the_limit_are_said_to_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_tables, "MAX_ROWS", 2)
    found = table((Column(key="a", label="a"),), [{"a": str(number)} for number in range(5)])
    assert len(found["rows"]) == 2 and found["note"].startswith("3 more rows")


def test_the_papers_numbers_and_benches_become_tables(results: Path, tmp_path: Path) -> None:
    assert rows(csv_table(results / "paper" / "fig1.csv")) == [{"method": "vanilla", "tool_latency_s": 0.5}]
    assert rows(bench_table(results / "published" / "local" / "some_bench.json"))[0]["ratio"] == 1.25
    nested = tmp_path / "nested.json"
    nested.write_text('{"a": {"b": 1.5, "c": [1, 2]}, "provenance": {"git_sha": "x"}}')
    assert rows(bench_table(nested)) == [{"place": "a.b", "value": 1.5}, {"place": "a.c", "value": "[1, 2]"}]


def test_records_have_the_environment_that_they_share(results: Path) -> None:
    records = records_in(results)
    groups = by_environment(records, results)
    (environment,) = environments(groups, results)
    assert (environment.name, environment.num_own, environment.num_published) == ("E1", 1, 1)
    assert environment.machine == "a processor; 2 cores; 16.0 GiB of memory; no GPU; Linux"
    run, bench = rows(records_table(records, groups, results))
    assert (run["records"], run["status"], run["environment"], run["commit"]) == ("own", "finished", "E1", "0123456789")
    assert run["events"] == ["events.jsonl", f"runs/local/fig1/{CELL}/events.jsonl"]
    assert (bench["records"], bench["status"]) == ("published", "bench")


def test_the_head_says_of_which_days_and_commits_records_are(results: Path, tmp_path: Path) -> None:
    own, published = extents(records_in(results), results)
    assert (own.num_records, own.first_day, own.commits) == (1, "2026-01-02", "0123456789")
    assert published.num_records == 1
    assert [each.num_records for each in extents(records_in(tmp_path), tmp_path)] == [0, 0]


def test_a_figure_has_its_origin_its_command_and_the_records_behind_it(results: Path) -> None:
    drawn, model = figures_in(results)
    assert (drawn.name, drawn.origin, drawn.records) == ("fig1_throughput", "replayed", "own and published")
    assert drawn.command == "python -m paper_figures fig1_throughput"
    assert [(data.kind, data.has_changed) for data in drawn.files] == [
        ("cells", True),
        ("paper", True),
        ("bench", True),
    ]
    assert (model.records, model.given) == ("computed", {"origin": "modelled", "equation": "eq:x"})


def test_a_record_that_is_as_it_was_drawn_is_not_called_changed(tmp_path: Path) -> None:
    published_results(tmp_path)
    name = "published/local/fig1/cells.parquet"
    digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    figure(tmp_path, "x", {f"results/{name}": digest, "results/runs/gone.json": digest})
    here, gone = figures_in(tmp_path)[0].files
    assert (here.has_changed, here.kind) == (False, "cells")
    assert (gone.has_changed, gone.kind, gone.link.href) == (True, "link", None)


def test_a_picture_of_anybody_else_is_no_figure(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    Image.new("RGB", (2, 2)).save(tmp_path / "figures" / "mine.png")
    assert figures_in(tmp_path) == []
