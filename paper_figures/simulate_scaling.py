"""What simulating costs: CPU time of a simulated turn, and the engines' events in it, against the number of agents.

    python -m paper_figures.simulate_scaling [file, default results/bench/simulate_scaling.json] [--out results/figures]

The seconds are measured, on the machine that the file names; what was simulated is modelled.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

from paper_figures import data, style
from precall.errors import ConfigError


def draw(bench: Mapping[str, Any]) -> Figure:
    """Return the figure for the object that `make simulate-scaling` leaves."""
    rows = bench["by_agents"]
    agents = [row["num_agents"] for row in rows]
    figure = style.new_figure(height_in=2.3)
    cost, events = figure.subplots(1, 2, sharex=True)
    cost.plot(agents, [row["cpu_ms_per_turn"] for row in rows], marker="o", color=style.SERIES_COLOURS[0])
    cost.set_ylabel("CPU time of a simulated turn (ms)")
    events.plot(agents, [row["events_per_turn"] for row in rows], marker="o", color=style.SERIES_COLOURS[1])
    events.set_ylabel("events of the engines in a turn")
    for axes in (cost, events):
        axes.set_xscale("log", base=2)
        axes.set_xticks(agents)
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(bottom=0.0)
        axes.set_xlabel("simulated agents")
    last = rows[-1]
    cpu = bench["provenance"]["cpu"] or "CPU not known"
    figure.suptitle(
        f"{last['num_agents']} agents, {last['num_turns']} turns: {last['wall_s']:.1f} s for {last['simulated_s']:.0f} "
        f"simulated seconds; CPU time measured, {cpu}"
    )
    return figure


def main() -> None:
    """Draw the figure from the command line."""
    parser = argparse.ArgumentParser(prog="python -m paper_figures.simulate_scaling", description="Draw the cost.")
    parser.add_argument("file", nargs="?", type=Path, default=data.RESULTS / "bench" / "simulate_scaling.json")
    parser.add_argument("--out", type=Path, default=data.RESULTS / "figures")
    arguments = parser.parse_args()
    try:
        bench = data.load_bench(arguments.file, target="make simulate-scaling")
    except ConfigError as error:
        parser.exit(1, f"{error}\n")
    with style.applied():
        command = f"python -m paper_figures.simulate_scaling {data.shown(arguments.file)}"
        drawn = data.identity(arguments.file)
        for file in style.save(draw(bench), arguments.out / "simulate_scaling", data=drawn, command=command):
            print(data.shown(file))


if __name__ == "__main__":
    main()
