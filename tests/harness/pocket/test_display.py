"""Progress away from a terminal: plain lines with the speed of this run and the time left at it."""

import io

from rich.console import Console

from harness.pocket.display import TrainingDisplay
from harness.pocket.probe import Row


def test_a_row_shows_the_speed_since_the_start_and_the_time_left_at_it():
    shown = io.StringIO()
    display = TrainingDisplay(Console(file=shown))
    with display.shown():
        display.start("m", 100, (20, 1000, 50.0))
        display.row(Row(step=40, tokens=5000, loss=2.5, seconds=60.0))
        display.row(Row(step=60, tokens=9000, loss=1.25, seconds=90.0, call_rate=0.5, answer_rate=0.125))
    assert shown.getvalue().splitlines() == [
        "m: goes on after step 20 of 100",
        "m: step 40 of 100, loss 2.500, 400 tokens/s, about 30 s left",
        "m: step 60 of 100, loss 1.250, 200 tokens/s, about 40 s left, held out: 50.0% of calls and 12.5% of answers",
    ]
