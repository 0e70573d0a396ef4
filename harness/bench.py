"""How a target that measures ends: one JSON object as its last line, kept in results/bench with its provenance."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness import provenance

FOLDER = provenance.ROOT / "results" / "bench"


def write_bench(name: str, figures: dict[str, Any], seed: int | None = None, **unprinted: Any) -> None:
    """Print `figures` as one line on stdout and keep them in results/bench/NAME.json, with what is `unprinted`."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    kept = {**figures, **unprinted, "provenance": provenance.collect(seed)}
    partial = FOLDER / f"{name}.json.partial"
    partial.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    partial.replace(FOLDER / f"{name}.json")
    print(json.dumps(figures), flush=True)


@contextmanager
def keeping(file: Path) -> Iterator[None]:
    """Leave a file after the block as it was before it."""
    content = file.read_bytes() if file.exists() else None
    try:
        yield
    finally:
        if content is None:
            file.unlink(missing_ok=True)
        else:
            file.write_bytes(content)
