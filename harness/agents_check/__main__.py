"""`python -m harness.agents_check [overrides]`: our own tasks, replayed on the real engine in every arm.

Each round runs the baseline, client-side speculation without forks, with forks, and the engine side, and the baseline
again, on every workload; the last round has no recorded observations at hand. Tools run for real in all of them, at
their own durations; `latency=constant latency.mean_g=0.5` injects more. Checked are: every task is solved in every run;
prompts, generated tokens, observations and final workspaces are equal. The last line on stdout is one JSON object, kept
in results/bench/agents.json. Exit status 1 when anything is wrong.
"""

import argparse
import asyncio
import sys

from rich.console import Console

from harness.agents_check.check import check
from harness.agents_check.workloads import WORKLOADS, config_of
from harness.bench import write_bench
from precall.errors import PrecallError


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m harness.agents_check", description=__doc__)
    parser.add_argument(
        "overrides", nargs="*", help="of the configuration, such as latency=constant latency.mean_g=0.5"
    )
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), help="(default all)")
    parser.add_argument("--blocks", type=int, default=3, help="rounds with recorded observations (default 3)")
    parser.add_argument("--agents", type=int, default=2, help="agents at once (default 2)")
    parser.add_argument("--tasks", type=int, default=None, help="tasks of each workload (default all)")
    args = parser.parse_args()
    console = Console(stderr=True, width=150)
    try:
        configs = {
            name: config_of(name, num_agents=args.agents, num_tasks=args.tasks, overrides=args.overrides)
            for name in args.workloads
        }
        figures, faults = asyncio.run(check(configs, num_blocks=args.blocks, console=console))
    except KeyboardInterrupt:
        sys.exit(130)
    except PrecallError as error:
        console.print(f"[red]{error}[/red]")
        sys.exit(1)
    for fault in faults:
        console.print(f"wrong: {fault}", style="red", markup=False, highlight=False)
    write_bench("agents", figures, next(iter(configs.values())).seed, faults=faults)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
