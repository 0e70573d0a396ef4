"""`python -m harness.trace RUN_FOLDER --out trace.json`: writes the events of a cell in Chrome's Trace Event Format.

Open the file at https://ui.perfetto.dev or chrome://tracing.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from harness.metrics.timeline import timelines_of
from harness.records import RunFolder
from harness.trace.trace_events import trace_events
from precall.errors import ConfigError


def trace_of(folder: Path) -> dict[str, Any]:
    """Return the trace of the run folder `folder`, whole as a viewer reads it. Raises ConfigError if it has no
    trajectory that has ended."""
    if not (folder / "events.jsonl").is_file():
        raise ConfigError(
            f"{folder} has no events.jsonl; a trace is made of the events of one cell. Name the folder of a cell, such "
            "as results/runs/local/fig1/CELL."
        )
    record = RunFolder(folder)
    runs = record.read_events()
    if not any(timelines_of(events) for events in runs.values()):
        raise ConfigError(f"{folder} has no trajectory that has ended; a trace needs one. Run its experiment again.")
    about = {"run folder": folder.resolve().name}
    if (folder / "provenance.json").is_file():
        provenance = record.read_json("provenance.json")
        about |= {name: str(provenance.get(name)) for name in ("git_sha", "started_at", "command", "cpu", "seed")}
    return {"traceEvents": trace_events(runs), "displayTimeUnit": "ms", "otherData": about}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m harness.trace", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="RUN_FOLDER", help="of one cell")
    parser.add_argument("--out", type=Path, default=Path("trace.json"), help="the file to write (default: trace.json)")
    arguments = parser.parse_args()
    try:
        trace = trace_of(arguments.folder)
        arguments.out.write_text(json.dumps(trace) + "\n", encoding="utf-8")
    except (ConfigError, OSError) as error:
        sys.exit(str(error))
    print(f"{arguments.out}: {len(trace['traceEvents'])} trace events")


if __name__ == "__main__":
    main()
