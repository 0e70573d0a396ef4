"""How a target that measures ends: one JSON object as its last line, kept in results/bench with its provenance."""

import json
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
