"""Progress of training: steps, time left, tokens per second. A bar on a terminal, plain lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from harness.pocket.probe import Row


class TrainingDisplay:
    """Shows one model in training after another."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._name = ""
        self._first: Row | None = None
        self._num_steps = 0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("steps, left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._bar = self._progress.add_task("", visible=False)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the bar inside the block."""
        with self._progress:
            yield

    def start(self, name: str, num_done: int, num_steps: int) -> None:
        """Begin with a model that has taken `num_done` of its steps before."""
        self._name, self._first, self._num_steps = name, None, num_steps
        self._progress.reset(self._bar, description=name, completed=num_done, total=num_steps, visible=True)
        if num_done:
            self.line(f"{name}: goes on after step {num_done} of {num_steps}")

    def advance(self) -> None:
        self._progress.advance(self._bar)

    def row(self, row: Row) -> None:
        """Print a row of the learning curve, with the time left as the rows of this run so far suggest it."""
        parts = [f"{self._name}: step {row.step} of {self._num_steps}, loss {row.loss:.3f}"]
        if self._first is not None:
            took_s, num_steps = row.seconds - self._first.seconds, row.step - self._first.step
            parts.append(f"{(row.tokens - self._first.tokens) / took_s:.0f} tokens/s")
            parts.append(f"about {took_s / num_steps * (self._num_steps - row.step):.0f} s left")
        else:
            self._first = row
        if row.call_rate is not None and row.answer_rate is not None:
            parts.append(f"held out: {row.call_rate:.1%} of calls and {row.answer_rate:.1%} of answers")
        self.line(", ".join(parts))

    def line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
