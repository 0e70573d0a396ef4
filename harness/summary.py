"""`python -m harness.summary SCALE`: the closing table of all experiments of a scale, and one JSON object as last
line."""

import sys

import pandas as pd
from rich.console import Console

from harness import tables
from harness.bench import write_bench
from harness.closing_table import print_closing_table
from harness.provenance import ROOT
from precall.errors import ConfigError


def main() -> None:
    scale = sys.argv[1] if len(sys.argv) > 1 else "local"
    files = sorted((ROOT / "results" / "runs" / scale).glob(f"*/{tables.CELLS}"))
    if not files:
        raise ConfigError(f"results/runs/{scale} has no {tables.CELLS}; run `make reproduce SCALE={scale}` first.")
    records = [record for file in files for record in tables.summarise(pd.read_parquet(file))]
    print_closing_table(records, Console(stderr=True))
    write_bench("reproduce", {"target": "reproduce", "scale": scale, "settings": records})


if __name__ == "__main__":
    try:
        main()
    except ConfigError as error:
        sys.exit(str(error))
