"""The page in a headless Chromium, from the disk: it works, at every width, and what records say stays text."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.report.browser import Browser, browser, executable
from tests.harness.report.records import ARGUMENTS, CELL, EVIL, TASK, TOOL

WIDTHS = (600, 1280, 1600)
ROWS = "[...document.querySelectorAll('#verdict-table tbody tr')].filter((row) => !row.hidden).length"
SHOTS = "PRECALL_SCREENSHOTS"

pytestmark = pytest.mark.skipif(executable() is None, reason="no Chromium here: apt-get install chromium")


@pytest.fixture(scope="module")
def started() -> Iterator[Browser]:
    path = executable()
    assert path is not None
    with browser(path) as found:
        yield found


@pytest.fixture
def opened(started: Browser, page: Path) -> Browser:
    started.look(1280)
    started.open(page)
    return started


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Where screenshots go: a folder to look at, if one is named in the environment."""
    return Path(os.environ.get(SHOTS, tmp_path))


def column(opened: Browser, table: str, key: str) -> list[str]:
    """Return the texts of a table's column."""
    return opened.value(
        f"""(() => {{
          const heads = [...document.querySelectorAll('#{table} th')];
          const place = heads.findIndex((head) => head.dataset.key === '{key}');
          return [...document.querySelectorAll('#{table} tbody tr')].map((row) => row.cells[place].textContent);
        }})()"""
    )


def texts(opened: Browser, selector: str) -> list[str]:
    return opened.value(f"[...document.querySelectorAll({json.dumps(selector)})].map((each) => each.textContent)")


def test_the_page_opens_from_the_disk_without_a_complaint_and_asks_for_nothing(opened: Browser) -> None:
    assert opened.problems == []
    assert opened.value(ROWS) == 2


def test_what_records_say_is_shown_as_it_is_and_never_runs(opened: Browser) -> None:
    assert opened.value("typeof window.taken") == "undefined"
    said = opened.value("document.getElementById('timelines').textContent")
    for text in (TASK, TOOL, ARGUMENTS):
        assert text in said
    assert EVIL in opened.value("document.getElementById('table-cells').textContent")
    assert opened.value("document.querySelectorAll('img[src=x]').length") == 0


def test_markup_that_got_in_all_the_same_would_not_run(opened: Browser) -> None:
    opened.value("void document.body.insertAdjacentHTML('beforeend', \"<img src=data:, onerror='window.taken=1'>\")")
    opened.value("new Promise((done) => setTimeout(done, 50))")
    assert opened.value("typeof window.taken") == "undefined"
    assert any("Content Security Policy" in problem for problem in opened.problems)


def test_a_click_on_an_outcome_shows_its_claims_alone_and_the_address_keeps_it(opened: Browser) -> None:
    opened.click("button.outcome.not_testable")
    assert opened.value(ROWS) == 1
    assert opened.value("document.getElementById('verdicts-shown').textContent") == "1 of 2 claims shown"
    assert "outcome=not+testable+here" in opened.value("location.hash")
    opened.click("button.outcome.not_testable")
    assert opened.value(ROWS) == 2


@pytest.mark.parametrize(
    ("hash", "num_rows"),
    [("#of=ours", 0), ("#of=paper", 2), ("#records=own", 1), ("#find=on-gpus", 1), ("#outcome=reproduced&of=paper", 1)],
)
def test_an_address_leads_to_what_was_filtered(started: Browser, page: Path, hash: str, num_rows: int) -> None:
    started.open(page, hash)
    assert started.value(ROWS) == num_rows


def test_a_click_on_a_columns_head_sorts_and_another_turns_it_round(opened: Browser) -> None:
    head = "#table-cells th[data-key=time_saved_pct]"
    opened.click(f"{head} button")
    assert column(opened, "table-cells", "time_saved_pct") == ["12.0", "11.0", "10.0", "10.0", "9.0", "8.0"]
    assert opened.value(f"document.querySelector('{head}').getAttribute('aria-sort')") == "descending"
    opened.click(f"{head} button")
    assert column(opened, "table-cells", "time_saved_pct")[0] == "8.0"
    assert "cells-sort=time_saved_pct%3Aup" in opened.value("location.hash")


def test_tables_filter_by_a_columns_value_by_text_and_from_the_address(started: Browser, page: Path) -> None:
    started.open(page, "#cells-records=published")
    assert column(started, "table-cells", "records") == ["published"] * 3
    started.open(page, "#cells-find=no+such+text")
    assert column(started, "table-cells", "records") == []
    started.open(page, "#cells-columns=all&settings-sort=time_saved_pct:up")
    assert column(started, "table-cells", "hit_rate_set") == ["-"] * 6
    assert [text.split()[0] for text in column(started, "table-settings", "time_saved_pct")] == ["9.0", "11.0"]


def test_the_data_behind_a_figure_open_in_a_table(opened: Browser) -> None:
    assert "has changed since this was drawn" in opened.value(
        "document.getElementById('figure-fig1_throughput').textContent"
    )
    for kind, num_rows, text in (("cells", 3, "runs/local/fig1"), ("paper", 1, "vanilla"), ("bench", 1, EVIL)):
        opened.click(f"details.behind[data-kind={kind}] summary")
        opened.until(f"document.querySelectorAll('details.behind[data-kind={kind}] tbody tr').length === {num_rows}")
        assert text in "".join(texts(opened, f"details.behind[data-kind={kind}] td"))


def test_the_viewer_draws_both_arms_with_bars_of_the_right_lengths(opened: Browser) -> None:
    assert texts(opened, ".timeline .arm") == ["base-1", "spec-1"]
    assert texts(opened, ".timeline .end-text") == ["2.50 s", "1.75 s"]
    assert opened.value("document.querySelectorAll('.timeline .mark.posted').length") == 1
    widths: dict[str, float] = opened.value(
        "Object.fromEntries([...document.querySelectorAll('.timeline .bar')].map((bar) => "
        "[bar.getAttribute('aria-label'), bar.getBoundingClientRect().width]))"
    )
    used = next(width for name, width in widths.items() if "(used)" in name)
    cancelled = next(width for name, width in widths.items() if "(cancelled)" in name)
    assert used / cancelled == pytest.approx(1.0 / 0.375, rel=0.02)
    records = opened.value(
        "[...document.querySelectorAll('#timeline-about a')].map((each) => each.getAttribute('href'))"
    )
    files = ("", "config.yaml", "events.jsonl", "manifest.json", "provenance.json", "trajectories-spec-1.jsonl")
    assert records == [f"runs/local/fig1/{CELL}/{file}" for file in files]
    assert "30.0 % of this trajectory's time saved" in opened.value(
        "document.getElementById('timeline-about').textContent"
    )


def test_a_bar_is_reached_by_keys_and_says_what_it_is(opened: Browser) -> None:
    opened.value("document.querySelector('.timeline .bar').focus()")
    assert "base-1, turn 0: prefill, 0.250 s" in opened.value("document.getElementById('timeline-details').textContent")
    opened.press("ArrowRight")
    opened.press("ArrowRight")
    opened.press("Enter")
    said = opened.value("document.getElementById('timeline-details').textContent")
    assert "base-1, turn 0: decode, 0.750 s from 0.250 s on (kept)" in said
    assert "tokens in100" in said and "tokens out10" in said


def test_a_call_says_its_outcome_and_the_seconds_that_were_saved(opened: Browser) -> None:
    opened.click(".timeline .mark.pending_hit")
    said = opened.value("document.getElementById('timeline-details').textContent")
    for text in ("pending hit", TOOL, ARGUMENTS, "waited (s)0.250", "saved (s)0.750"):
        assert text in said


def test_an_address_leads_to_a_trajectory_and_a_link_in_the_table_too(started: Browser, page: Path) -> None:
    address = f"#timeline=runs/local/fig1/{CELL}/1"
    started.open(page, address)
    started.until("document.getElementById('timeline-drawing').dataset.shown !== undefined")
    assert started.value("document.querySelector('[data-choice=cell]').value") == CELL
    started.open(page)
    started.click("#table-cells td.link a[href^='#timeline']")
    started.until("scrollY > 100")
    assert started.value("document.querySelector('[data-choice=cell]').value") == CELL


def test_the_trace_of_the_viewer_is_in_the_format_of_the_export(opened: Browser) -> None:
    opened.value(
        "void (URL.createObjectURL = (blob) => { window.kept = blob.text(); return 'blob:none'; }, "
        "HTMLAnchorElement.prototype.click = () => {})"
    )
    opened.click("#trace-download")
    trace: dict[str, Any] = json.loads(opened.value("window.kept"))
    events = trace["traceEvents"]
    assert {each["ph"] for each in events} == {"M", "X", "i"}
    assert all({"name", "ph", "ts", "pid", "tid"} <= each.keys() and each.get("dur", 0) >= 0 for each in events)
    (used,) = (each for each in events if each["name"] == f"{TOOL} (used)")
    assert (used["ts"], used["dur"], used["args"]["arguments"]) == (250_000, 1_000_000, ARGUMENTS)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_at_every_width_nothing_reaches_beyond_the_page(started, page, shots, width: int, is_dark: bool) -> None:
    started.look(width, is_dark=is_dark)
    started.open(page)
    assert started.value("document.documentElement.scrollWidth") <= width
    light = started.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert light != is_dark
    file = shots / f"report-{width}-{'dark' if is_dark else 'light'}.png"
    started.screenshot(file, is_whole=True)
    assert file.stat().st_size > 10_000
    assert started.problems == []


def test_on_paper_every_claim_is_there_and_no_control(opened: Browser) -> None:
    opened.look(1280, media="print")
    assert opened.value("getComputedStyle(document.querySelector('.filters')).display") == "none"
    assert opened.value(ROWS) == 2
