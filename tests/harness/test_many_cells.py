"""Work on a folder of results grows as its cells do: four times the cells, at most some four times the steps."""

import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness import bench, cell_bench, run, status
from tests.harness.configs import compose

FEW, MANY = 100, 400
CONSOLE = Console(quiet=True)


def make(folder: Path, num_latencies: int) -> list[str]:
    """Make a folder of finished cells and return what the command line says of it."""
    first = cell_bench.overrides_of(folder, num_latencies=1, num_agents=[1], num_blocks=1)
    run.run_experiments([compose(*first)])
    (finished,) = folder.glob("mean_g_*")
    overrides = cell_bench.overrides_of(folder, num_latencies=num_latencies, num_agents=[1, 2], num_blocks=5)
    cell_bench.fill(cell_bench.cells_of(overrides), finished)
    return overrides


def num_steps(function: Any, *arguments: Any) -> int:
    """Return how many calls, of Python's and of C's functions, one of `function` makes."""
    num = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal num
        num += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        function(*arguments)
    finally:
        sys.setprofile(None)
    return num


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[str]]:
    """By the number of cells, what the command line says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "FOLDER", tmp_path_factory.mktemp("bench"))
        return {num: make(tmp_path_factory.mktemp("cells") / "fig1", num // 10) for num in (FEW, MANY)}


def test_listing_is_linear(folders: dict[int, list[str]]) -> None:
    steps = {num: num_steps(status.show, [compose(*overrides)], CONSOLE) for num, overrides in folders.items()}
    assert steps[MANY] < 1.2 * (MANY / FEW) * steps[FEW]


def test_resuming_and_writing_the_tables_is_linear(
    folders: dict[int, list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bench, "FOLDER", tmp_path)
    steps = {num: num_steps(run.run_experiments, [compose(*overrides)]) for num, overrides in folders.items()}
    assert steps[MANY] < 1.2 * (MANY / FEW) * steps[FEW]
