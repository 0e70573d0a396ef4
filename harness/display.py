"""Progress of an experiment: cells done, time left, and what runs now. A bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Display:
    """One experiment's progress, in cells."""

    def __init__(self, name: str, num_cells: int, console: Console) -> None:
        self.console = console
        self._name = name
        self._num_cells = num_cells
        self._num_done = 0
        self._started_s = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("cells"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            TextColumn("{task.fields[now]}", style="dim"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._row = self._progress.add_task(name, total=num_cells, now="")

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the bar inside the block."""
        with self._progress:
            yield

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take the bar away inside the block, in which something else draws on the terminal."""
        self._progress.stop()
        try:
            yield
        finally:
            if self.console.is_terminal:
                self._progress.start()

    def now(self, text: str) -> None:
        """Say what runs now."""
        self._progress.update(self._row, now=text)
        if not self.console.is_terminal:
            self.line(f"{self._name}: {text}")

    def count(self, text: str) -> None:
        """Show only on the bar what is counted up inside a cell."""
        self._progress.update(self._row, now=text)

    def cell_done(self, text: str) -> None:
        """Count a cell as done and print its result."""
        self._num_done += 1
        self._progress.advance(self._row)
        elapsed_s = time.monotonic() - self._started_s
        left_s = elapsed_s / self._num_done * (self._num_cells - self._num_done)
        self.line(f"{self._name} {self._num_done}/{self._num_cells}: {text} (about {left_s:.0f} s left)")

    def line(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)
