"""What simulating costs: CPU time of a simulated turn, and the engines' events in it, against the number of agents.

The seconds are measured, on the machine that the file names; what was simulated is modelled.
"""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

from paper_figures import sources, style
from paper_figures.command import Drawing

NAME = "simulate_scaling"


def draw(benches: Mapping[str, Any]) -> Figure:
    """Return the figure for what `make simulate-scaling` leaves."""
    bench = benches[NAME]
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


DRAWING = Drawing(
    name=NAME,
    shows="What a simulated turn costs, from 1 to 1,024 agents.",
    draw=draw,
    sources=(sources.bench(NAME, command="make simulate-scaling", published="simulated"),),
)
