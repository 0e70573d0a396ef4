"""Figure 2: timelines of a task without speculation and with it on the client's side, from the events of a run."""

from functools import partial

from paper_figures import sources, timeline_panels
from paper_figures.command import Drawing

DRAWING = Drawing(
    name="fig2_timeline_client",
    shows="One task without speculation and with the client side: prefill, decode, draft, tool, overhead.",
    draw=partial(timeline_panels.draw, arm="client side"),
    sources=(sources.runs("fig8", "fig1", mode="client"),),
)
