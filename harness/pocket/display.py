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
        self._num_steps = 0
        self._begun = (0, 0, 0.0)
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

    def start(self, name: str, num_steps: int, begun: tuple[int, int, float]) -> None:
        """Begin with a model; `begun` holds the steps, the tokens and the seconds of training that it has behind it."""
        self._name, self._num_steps, self._begun = name, num_steps, begun
        self._progress.reset(self._bar, description=name, completed=begun[0], total=num_steps, visible=True)
        if begun[0]:
            self.line(f"{name}: goes on after step {begun[0]} of {num_steps}")

    def advance(self) -> None:
        self._progress.advance(self._bar)

    def row(self, row: Row) -> None:
        """Print a row of the learning curve, with the speed since `start` and the time left at that speed."""
        num_steps, num_tokens, took_s = (
            now - before for now, before in zip((row.step, row.tokens, row.seconds), self._begun, strict=True)
        )
        parts = [
            f"{self._name}: step {row.step} of {self._num_steps}, loss {row.loss:.3f}",
            f"{num_tokens / took_s:.0f} tokens/s",
            f"about {took_s / num_steps * (self._num_steps - row.step):.0f} s left",
        ]
        if row.call_rate is not None and row.answer_rate is not None:
            parts.append(f"held out: {row.call_rate:.1%} of calls and {row.answer_rate:.1%} of answers")
        self.line(", ".join(parts))

    def line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
