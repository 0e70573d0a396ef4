"""Shows the progress of a sweep whose cells other processes run, by looking at the folders that they leave."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.cell import folder_of
from harness.display import Display
from harness.progress import Attempt, Pace, attempts_in
from harness.sweep import Cell

INTERVAL_S = 2.0
NUM_SHOWN = 3


class Watch:
    """Looks for `missing` cells; `on_cell` gets those that are finished, once nothing is to be waited for any more."""

    def __init__(self, missing: Sequence[Cell], display: Display, pace: Pace, on_cell: Callable[[Cell], None]) -> None:
        self._missing: dict[Path, dict[str, Cell]] = {}
        for cell in missing:
            self._missing.setdefault(Path(cell.config.output), {})[cell.cell_id] = cell
        self._num_left = Counter(cell.setting_id for cell in missing)
        self._display = display
        self._pace = pace
        self._on_cell = on_cell
        self._found: list[Cell] = []

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look every few seconds inside the block, and once more at its end."""
        is_over = threading.Event()

        def look_on() -> None:
            while not is_over.wait(INTERVAL_S):
                self.look()

        thread = threading.Thread(target=look_on, name="watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
            self.look()
            for cell in self._found:
                self._on_cell(cell)

    def look(self) -> None:
        """Show what has been finished since the last time, and what runs now."""
        attempts = [attempt for output in self._missing for attempt in attempts_in(output)]
        for output, cells in self._missing.items():
            for name in cells.keys() & {entry.name for entry in output.iterdir()}:
                manifest = folder_of(cells[name]).manifest
                if manifest is not None and manifest["status"] == "finished":
                    self._finished(cells.pop(name), manifest.get("duration_s"), len(attempts))
        if attempts:
            self._display.count(_text(attempts))

    def _finished(self, cell: Cell, duration_s: float | None, num_running: int) -> None:
        self._num_left[cell.setting_id] -= 1
        self._pace.add(cell, duration_s)
        left_s = self._pace.left_s(self._num_left)
        text = f"{cell.config.experiment}, {cell.label}, block {cell.block}"
        self._display.cell_done(text, None if left_s is None else left_s / max(1, num_running))
        self._found.append(cell)


def _text(attempts: Sequence[Attempt]) -> str:
    more = f" and {len(attempts) - NUM_SHOWN} more" if len(attempts) > NUM_SHOWN else ""
    return f"{len(attempts)} at work: {', '.join(map(str, attempts[:NUM_SHOWN]))}{more}"
