"""`python -m harness.what_if`: what will speculation bring here, and which draft should I pick?

    python -m harness.what_if results/runs/local/fig1/CELL ...        # cells of one setting: fitted to their events
    python -m harness.what_if results/published/local/fig1 --setting 4947d89825 --turns 1     # a table of cells
    python -m harness.what_if --G 2.0 --T 1.5 --answer 1.0 --turns 6 --agents 8 \\
        --draft 8B:g=0.3,alpha=0.6,rho=0.5,tokens=40,dollars_per_mtok=0.4 --draft 1B:g=0.1,alpha=0.2 --samples 1,3

`--draft run:...` is the draft of the run; what is given of it replaces what was fitted. The last line on stdout is one
JSON object.
"""

import argparse
import json
import sys
from math import isfinite
from pathlib import Path

from rich.console import Console

from harness.tables import CELLS
from harness.what_if import report
from harness.what_if.candidates import OF_THE_RUN, Candidate, parse
from harness.what_if.evidence import Place, from_folders, from_numbers, from_table
from harness.what_if.predict import predict
from precall.errors import ConfigError


def main() -> None:
    try:
        run(_parser().parse_args())
    except ConfigError as error:
        sys.exit(str(error))


def run(options: argparse.Namespace) -> None:
    """Print the predictions of `options`, and their JSON object as the last line on stdout."""
    candidates = _candidates(options)
    place = _place(options)
    predictions = [predict(place, draft, number) for draft in candidates for number in _samples(options.samples)]
    report.show(place, predictions, Console(stderr=True, width=120))
    print(json.dumps(report.as_json(place, predictions)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m harness.what_if", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*", type=Path, help="cells of one setting, or a folder with a table of cells")
    parser.add_argument("--setting", help="of a table of cells: which of its settings")
    parser.add_argument("--G", type=float, help="seconds of a target generation that ends in a call")
    parser.add_argument("--T", type=float, help="seconds of a tool")
    parser.add_argument("--answer", type=float, help="seconds of the final answer's generation (default: none)")
    parser.add_argument("--turns", type=int, help="turns of a task that end in a call (default 1)")
    parser.add_argument("--agents", type=int, help="agents at once (default 1)")
    parser.add_argument("--beside", type=float, help="seconds that each other agent's generation adds to one")
    parser.add_argument("--prompt-tokens", type=float, help="input tokens of a turn, for the price of prompts")
    parser.add_argument("--draft", action="append", default=[], metavar="NAME:KEY=NUMBER,...", help="a candidate")
    parser.add_argument("--samples", default="1", help="numbers of samples to try, as 1,3,5 (default 1)")
    return parser


def _candidates(options: argparse.Namespace) -> list[Candidate]:
    candidates = [parse(text) for text in options.draft]
    names = [candidate.name for candidate in candidates]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"--draft {twice[0]} is there twice; each draft needs a name of its own.")
    if options.folders and not candidates:
        return [Candidate(name=OF_THE_RUN)]
    if not candidates:
        raise ConfigError("no draft is given; add at least one with --draft NAME:g=0.3,alpha=0.6.")
    return candidates


def _samples(text: str) -> list[int]:
    numbers = text.split(",")
    if not all(number.isdecimal() and int(number) >= 1 for number in numbers):
        raise ConfigError(f"--samples is {text!r}; it must be whole numbers of at least 1. Write --samples 1,3,5.")
    return [int(number) for number in numbers]


def _place(options: argparse.Namespace) -> Place:
    by_hand = {"--G": options.G, "--T": options.T, "--answer": options.answer, "--agents": options.agents}
    by_hand |= {"--beside": options.beside, "--prompt-tokens": options.prompt_tokens, "--turns": options.turns}
    for name, value in by_hand.items():
        least = 1 if name in ("--turns", "--agents") else 0
        if value is not None and not (isfinite(value) and value >= least):
            raise ConfigError(f"{name} is {value}; it must be at least {least}, and finite.")
    if not options.folders:
        return _place_of_numbers(options)
    is_table = (options.folders[0] / CELLS).is_file()
    allowed = ("--turns",) if is_table else ()
    if given := [name for name, value in by_hand.items() if value is not None and name not in allowed]:
        raise ConfigError(f"{given[0]} is given beside a folder, which says it itself. Leave one of them out.")
    if not is_table:
        if options.setting is not None:
            raise ConfigError(
                f"--setting is {options.setting}, but {options.folders[0]} holds no {CELLS}. Leave it out."
            )
        return from_folders(options.folders)
    if len(options.folders) > 1:
        raise ConfigError(f"{len(options.folders)} folders are given, the first with a table; give that one alone.")
    return from_table(options.folders[0], setting=options.setting, num_calls=options.turns)


def _place_of_numbers(options: argparse.Namespace) -> Place:
    if options.setting is not None:
        raise ConfigError(f"--setting is {options.setting}, and no folder is given to which it belongs. Leave it out.")
    if missing := [name for name, value in (("--G", options.G), ("--T", options.T)) if value is None]:
        raise ConfigError(f"{' and '.join(missing)} is missing; give a run's folder, or numbers: --G 2.0 --T 1.5.")
    if options.G == 0.0:
        raise ConfigError("--G is 0; it must be above 0, or nothing could run beside a generation.")
    return from_numbers(
        generation_s=options.G,
        tool_s=options.T,
        answer_s=options.answer or 0.0,
        num_calls=options.turns or 1,
        num_agents=options.agents or 1,
        prompt_tokens=options.prompt_tokens,
        beside_s=options.beside,
    )


if __name__ == "__main__":
    main()
