"""python -m daylog FILE [--utc-offset +01:00] [--level WARNING]"""

import argparse
import sys
from typing import List

from daylog.days import busiest_day, count_by_day
from daylog.entries import LEVELS, parse_offset, read_entries


def main(arguments: List[str]) -> int:
    parser = argparse.ArgumentParser(prog="daylog", description="Count the entries of a log by day.")
    parser.add_argument("file")
    parser.add_argument("--utc-offset", default="+00:00", help="where you read it, such as +01:00")
    parser.add_argument("--level", default="DEBUG", choices=LEVELS)
    options = parser.parse_args(arguments)
    zone = parse_offset(options.utc_offset)
    with open(options.file, encoding="utf-8") as file:
        entries = list(read_entries(file, options.level))
    for day, count in count_by_day(entries, zone).items():
        print(f"{day.isoformat()}  {count}")
    if entries:
        day, count = busiest_day(entries, zone)
        print(f"busiest: {day.isoformat()} with {count}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
