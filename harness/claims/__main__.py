"""`make claims`: judges every claim of results/claims.yaml by the records that are there.

Prints a table on stderr, and as last line one JSON object with the counts, kept with every verdict in
results/bench/claims.json. Exit status 0 whatever the verdicts are; 1 where fewer of the paper's claims can be tested
than the ledger promises; 2 where the ledger is not in its form or a record cannot be read.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.bench import write_bench
from harness.claims.artifact import expected_text, tolerance_text
from harness.claims.found import found_text
from harness.claims.ledger import FILE, read_claims
from harness.claims.rules import Outcome
from harness.claims.verdicts import RESULTS, Verdict, summarise, verdicts
from precall.errors import ConfigError

MIN_WIDTH = 200
COLOURS = {
    Outcome.REPRODUCED: "green",
    Outcome.DIRECTION_ONLY: "yellow",
    Outcome.NOT_REPRODUCED: "red",
    Outcome.NOT_TESTABLE: "bright_black",
    Outcome.REFUTED_AS_EXPECTED: "green",
}


def print_table(found: Sequence[Verdict], console: Console) -> None:
    """Print a line per claim that has evidence, and the others by the command that would make it."""
    table = Table(
        title="Claims, judged by the records that are there",
        caption="Found: value and 95 % interval. Rules: harness/claims/rules.py. Sentences and units: ARTIFACT.md.",
    )
    for name in ("claim", "of", "verdict", "claimed", "found", "origin"):
        table.add_column(name, no_wrap=True)
    for name in ("record", "why"):
        table.add_column(name, overflow="fold")
    absent: dict[str, list[str]] = {}
    for verdict in found:
        claim, evidence = verdict.claim, verdict.evidence
        if evidence is None:
            absent.setdefault(verdict.reason, []).append(claim.id)
            continue
        why = verdict.reason + (f" (own run left it open: {verdict.passed_over})" if verdict.passed_over else "")
        table.add_row(
            claim.id,
            claim.of.value,
            f"[{COLOURS[verdict.outcome]}]{verdict.outcome.value}[/]",
            f"{expected_text(claim)} {tolerance_text(claim)}".strip(),
            escape(found_text(evidence)),
            evidence.origin,
            evidence.file.removeprefix("results/"),
            escape(why),
        )
    wide = Console(file=console.file, width=max(console.width, MIN_WIDTH))
    wide.print(table)
    for reason, claims in absent.items():
        wide.print(f"{Outcome.NOT_TESTABLE.value}: {', '.join(claims)}", highlight=False, markup=False)
        wide.print(f"    {reason}", style="bright_black", highlight=False, markup=False, soft_wrap=True)


def main(results: Path = RESULTS, file: Path = FILE) -> None:
    console = Console(stderr=True)
    try:
        minimum = read_claims(file).minimum_testable_share
        found = verdicts(results, file)
    except ConfigError as error:
        console.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    print_table(found, console)
    summary = summarise(found)
    write_bench(
        "claims",
        {**summary.to_json(), "minimum_testable_share": minimum},
        verdicts=[verdict.to_json() for verdict in found],
    )
    if (share := summary.testable_share_of_paper) < minimum:
        what = f"{share:.0%} of the paper's claims could be tested; the ledger promises {minimum:.0%}."
        remedy = "Restore results/published, or run the commands that are named above."
        console.print(f"{what} {remedy}", style="red", highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
