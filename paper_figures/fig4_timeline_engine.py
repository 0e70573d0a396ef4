"""Figure 4: timelines of a task without speculation and with the engine side, from the events of a run."""

from functools import partial

from paper_figures import sources, timeline_panels
from paper_figures.command import Drawing

DRAWING = Drawing(
    name="fig4_timeline_engine",
    shows="One task without speculation and with the engine side: decode, draft, tool, overhead.",
    draw=partial(timeline_panels.draw, arm="engine side"),
    sources=(sources.runs("fig8", "engine", mode="engine"),),
)
