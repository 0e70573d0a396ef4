"""`python -m harness.fork_bench`: what a fork of a workspace costs, by copying and by overlay.

In each repeat, on a tree of NUM_FILES files: make a fork, run `true` and a command that writes ten files in it, commit
it, make another and discard it. Repeats alternate between the methods. The same commands in place are what a fork is
held against. Medians in milliseconds, with the least and the most; the last line on stdout is one JSON object, kept in
results/bench/forks.json with every repeat.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

from agents.forks.choice import can_overlay
from agents.forks.methods import Copies, ForkMethod, Overlays
from agents.forks.workspace import Workspace
from agents.sandbox.sandbox import Sandbox
from harness.bench import write_bench

NUM_FILES = 10_000
FILES_PER_FOLDER = 50
FILE_BYTES = 4_000
WRITE_TEN = ["sh", "-c", "for i in 0 1 2 3 4 5 6 7 8 9; do echo new > new$i; done"]
TIMEOUT_S = 60.0

T = TypeVar("T")
Seconds = dict[str, list[float]]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--files", type=int, default=NUM_FILES)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="on the disk to measure")
    options = parser.parse_args(arguments)
    asyncio.run(bench(options.folder, options.files, options.repeats))


async def bench(folder: Path, num_files: int, num_repeats: int) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        root, sandbox = Path(name), Sandbox()
        write_files(root / "source", num_files)
        methods: list[ForkMethod] = [Copies()]
        if await can_overlay(root, sandbox):
            methods.append(Overlays())
        workspaces = [Workspace.create(root / method.name, root / "source", sandbox, method) for method in methods]
        seconds: dict[str, Seconds] = {method.name: defaultdict(list) for method in methods}
        for _ in range(num_repeats):
            for method, workspace in zip(methods, workspaces, strict=True):
                await measure(workspace, seconds[method.name])
        for workspace in workspaces:
            await workspace.aclose()
    print_table(seconds, num_files, num_repeats)
    figures = {"num_files": num_files, "num_repeats": num_repeats, "median_ms": medians(seconds)}
    write_bench("forks", figures, seconds=seconds)


def write_files(source: Path, num_files: int) -> None:
    """Write `num_files` files of FILE_BYTES random bytes each."""
    for number in range(num_files):
        file = source / str(number // FILES_PER_FOLDER) / str(number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(FILE_BYTES))


async def measure(workspace: Workspace, seconds: Seconds) -> None:
    """Add one repeat to `seconds`; what runs in the background of one step has ended before the next."""

    async def timed(what: str, step: Awaitable[T]) -> T:
        started_s = time.perf_counter()
        returned = await step
        seconds[what].append(time.perf_counter() - started_s)
        await workspace.settle()
        return returned

    await timed("run true in place", workspace.run(["true"], timeout_s=TIMEOUT_S))
    await timed("write ten files in place", workspace.run(WRITE_TEN, timeout_s=TIMEOUT_S))
    fork = await timed("fork", workspace.fork())
    await timed("run true in the fork", fork.run(["true"], timeout_s=TIMEOUT_S))
    await timed("write ten files in the fork", fork.run(WRITE_TEN, timeout_s=TIMEOUT_S))
    assert await timed("commit", fork.commit()), "ten files were written"
    fork = await workspace.fork()
    await timed("discard", fork.discard())


def medians(seconds: dict[str, Seconds]) -> dict[str, Any]:
    return {
        method: {what: round(1000 * median(values), 2) for what, values in steps.items()}
        for method, steps in seconds.items()
    }


def print_table(seconds: dict[str, Seconds], num_files: int, num_repeats: int) -> None:
    table = Table(title=f"Forks of {num_files} files, {num_repeats} repeats: median (least, most) in ms")
    table.add_column("step")
    for method in seconds:
        table.add_column(method, justify="right")
    for what in next(iter(seconds.values())):
        values = [[1000 * value for value in steps[what]] for steps in seconds.values()]
        table.add_row(what, *(f"{median(ms):.1f} ({min(ms):.1f}, {max(ms):.1f})" for ms in values))
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
