"""python -m steps FILE [--batches]"""

import argparse
import sys
from typing import List

from steps.errors import StepError
from steps.order import batches, run_order
from steps.text import loads


def main(arguments: List[str]) -> int:
    parser = argparse.ArgumentParser(prog="steps", description="Print the order of the steps of a file.")
    parser.add_argument("file")
    parser.add_argument("--batches", action="store_true", help="print what can run at once on one line")
    options = parser.parse_args(arguments)
    try:
        with open(options.file, encoding="utf-8") as file:
            graph = loads(file.read())
        lines = batches(graph) if options.batches else [run_order(graph)]
    except StepError as error:
        print(f"steps: {error}", file=sys.stderr)
        return 1
    for line in lines:
        print(" ".join(line))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
