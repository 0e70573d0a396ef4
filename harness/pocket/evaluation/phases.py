"""Progress of an evaluation: phases, and within the running one what is done and the time left. A bar on a terminal,
plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Phases:
    """Shows one phase after another. Servers start between phases, and show that themselves."""

    def __init__(self, num_phases: int, console: Console, plain_interval_s: float = 20.0) -> None:
        self._num_phases = num_phases
        self._num_begun = 0
        self._console = console
        self._plain_interval_s = plain_interval_s

    @contextmanager
    def phase(self, what: str, num: int) -> Iterator[Callable[[], None]]:
        """Show a phase of `num` steps until the block ends; yields the function that counts a step as done."""
        self._num_begun += 1
        label = f"{self._num_begun}/{self._num_phases} {what}"
        started_s = time.monotonic()
        if self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            with Progress(*columns, console=self._console, transient=True) as progress:
                bar = progress.add_task(label, total=num)
                yield lambda: progress.advance(bar)
        else:
            self.line(f"{label}: begins")
            yield self._plain(label, num, started_s)
        self.line(f"{label}: done in {time.monotonic() - started_s:.0f} s")

    def line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _plain(self, label: str, num: int, started_s: float) -> Callable[[], None]:
        num_done, next_s = 0, started_s + self._plain_interval_s

        def count() -> None:
            nonlocal num_done, next_s
            num_done += 1
            now_s = time.monotonic()
            if now_s >= next_s and num_done < num:
                next_s = now_s + self._plain_interval_s
                left_s = (now_s - started_s) / num_done * (num - num_done)
                self.line(f"{label}: {num_done} of {num}, about {left_s:.0f} s left")

        return count
