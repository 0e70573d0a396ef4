"""Progress away from a terminal is plain lines, with the time left."""

import io

import pytest
from rich.console import Console

from harness.pocket.evaluation import phases
from harness.pocket.evaluation.phases import Phases


def test_away_from_a_terminal_plain_lines_tell_phase_count_and_time_left(monkeypatch: pytest.MonkeyPatch):
    now_s = 0.0
    monkeypatch.setattr(phases.time, "monotonic", lambda: now_s)
    out = io.StringIO()
    shown = Phases(2, Console(file=out))
    with shown.phase("pocket: turns", 4) as count:
        for _ in range(4):
            now_s += 15.0
            count()
    with shown.phase("pocket: live", 1):
        pass
    assert out.getvalue().splitlines() == [
        "1/2 pocket: turns: begins",
        "1/2 pocket: turns: 2 of 4, about 30 s left",
        "1/2 pocket: turns: done in 60 s",
        "2/2 pocket: live: begins",
        "2/2 pocket: live: done in 0 s",
    ]


def test_a_phase_that_fails_is_not_called_done():
    out = io.StringIO()
    with pytest.raises(ValueError), Phases(1, Console(file=out)).phase("pocket: turns", 4):
        raise ValueError
    assert out.getvalue().splitlines() == ["1/1 pocket: turns: begins"]


def test_on_a_terminal_a_bar_counts_and_the_end_stays_as_a_line():
    out = io.StringIO()
    with Phases(1, Console(file=out, force_terminal=True, width=80)).phase("pocket: turns", 2) as count:
        count()
        count()
    assert "2/2" in out.getvalue()
    assert "1/1 pocket: turns: done in" in out.getvalue().splitlines()[-1]
