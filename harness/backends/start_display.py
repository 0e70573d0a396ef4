"""Shows how far servers have come while they start: elapsed time and the last line of the log, one row per server.

On a terminal the rows are redrawn in place; elsewhere plain lines appear at intervals.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column


class StartDisplay:
    """One display for the servers that start at the same time; give the same object to each of them."""

    def __init__(self, console: Console | None = None, plain_interval_s: float = 10.0) -> None:
        self._console = console or Console(stderr=True)
        self._plain_interval_s = plain_interval_s
        self._num_rows = 0
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            TextColumn(
                "{task.fields[line]}", markup=False, style="dim", table_column=Column(no_wrap=True, overflow="ellipsis")
            ),
            console=self._console,
            transient=True,
        )

    @contextmanager
    def row(self, name: str) -> Iterator[Callable[[str], None]]:
        """Show a row for the server `name` until the block ends. Yields the function that takes the log's last line."""
        started_s = time.monotonic()
        rows = self._live_row(name) if self._console.is_terminal else self._plain_row(name, started_s)
        with rows as show:
            yield show
        self._print(f"{name}: ready after {time.monotonic() - started_s:.1f} s")

    @contextmanager
    def _live_row(self, name: str) -> Iterator[Callable[[str], None]]:
        self._progress.start()
        self._num_rows += 1
        row = self._progress.add_task(name, total=None, line="")
        try:
            yield lambda line: self._progress.update(row, line=line)
        finally:
            self._progress.remove_task(row)
            self._num_rows -= 1
            if self._num_rows == 0:
                self._progress.stop()

    @contextmanager
    def _plain_row(self, name: str, started_s: float) -> Iterator[Callable[[str], None]]:
        next_s = started_s + self._plain_interval_s

        def show(line: str) -> None:
            nonlocal next_s
            now_s = time.monotonic()
            if now_s >= next_s:
                next_s = now_s + self._plain_interval_s
                self._print(f"{name}: starting for {now_s - started_s:.0f} s: {line}")

        self._print(f"{name}: starting")
        yield show

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
