"""Progress of a sweep: cells done, time left, and what runs now. A bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Display:
    """The progress of `num_cells` cells, of which `num_found` were there before."""

    def __init__(self, name: str, num_cells: int, console: Console, num_found: int = 0) -> None:
        self.console = console
        self._name = name
        self._num_cells = num_cells
        self._num_found = self._num_done = num_found
        self._started_s = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("cells"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[now]}", style="dim"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._row = self._progress.add_task(name, total=num_cells, completed=num_found, now="", left="")

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the bar inside the block."""
        with self._progress:
            yield

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take the bar away inside the block, in which something else draws on the terminal."""
        is_there = self._progress.live.is_started
        self._progress.stop()
        try:
            yield
        finally:
            if is_there:
                self._progress.start()

    def now(self, text: str) -> None:
        """Say what runs now."""
        self._progress.update(self._row, now=text)
        if not self.console.is_terminal:
            self.line(f"{self._name}: {text}")

    def count(self, text: str) -> None:
        """Show only on the bar what is counted up inside a cell."""
        self._progress.update(self._row, now=text)

    def cell_done(self, text: str, left_s: float | None = None) -> None:
        """Count a cell as done and print its result. `left_s` are the seconds that the others will take; None has them
        take as long as those that were done here."""
        self._num_done += 1
        if left_s is None:
            elapsed_s = time.monotonic() - self._started_s
            left_s = elapsed_s / (self._num_done - self._num_found) * (self._num_cells - self._num_done)
        left = f"about {duration_text(left_s)} left"
        self._progress.update(self._row, completed=self._num_done, left=left)
        self.line(f"{self._name} {self._num_done}/{self._num_cells}: {text} ({left})")

    def line(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def duration_text(seconds: float) -> str:
    """Return a duration in the unit that suits it."""
    if seconds < 120.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200.0 else f"{seconds / 3600:.1f} h"
