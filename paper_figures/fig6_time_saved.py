"""Figure 6: time saved against mean tool latency, a line for each draft; ours on the left, the paper's on the right.

Live drafts differ by name, replayed ones by the hit rate that was set.
"""

from statistics import fmean
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from paper_figures import saved, sources, style
from paper_figures.command import Drawing

BY = ("draft", "hit_rate_set")
COLUMNS = (*saved.COLUMNS, "call_acceptance_rate")
_PAPER = "fig6_time_saved_client"


def draw(cells: pd.DataFrame, paper: pd.DataFrame) -> Figure:
    """Return the figure for our `cells` and the paper's points."""
    lines = saved.lines_of(cells, BY, _label)
    looks: list[dict[str, Any]] = [
        {"colour": colour, "look": style.ARM_LINES["speculative"]} for colour in style.colours(lines)
    ]
    figure = style.new_figure(height_in=3.5)
    ours, theirs = figure.subplots(1, 2, sharey=True)
    saved.draw_lines(ours, cells, lines, looks)
    ours.set_title("(a) this reproduction")
    ours.set_ylabel("time saved per agent (%)")
    saved.draw_paper_drafts(theirs, paper)
    for axes in (ours, theirs):
        axes.set_xlabel("mean tool latency (s)")
    handles = saved.line_handles(lines, looks)
    figure.legend(handles=handles, loc="outside lower left", title=saved.about(cells), alignment="left")
    about = "published, read off the figure: 32 agents,\n1 sample; no intervals, noise floor or G given"
    figure.legend(handles=style.paper_draft_handles(), loc="outside lower right", title=about, alignment="left")
    return figure


def draw_live(cells: pd.DataFrame, pocket: pd.DataFrame, paper: pd.DataFrame) -> Figure:
    """Return the figure for `cells`, and of `pocket`, which figure 1 shows as well, those of another draft."""
    others = pocket.loc[~pocket["draft"].isin(cells["draft"])]
    return draw(pd.concat([cells, others], ignore_index=True), paper)


def _label(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    name = str(first["draft"])
    if not pd.isna(first["hit_rate_set"]):
        name = f"{name}, hit rate set to {first['hit_rate_set']:g}"
    return f"{name}: $\\alpha$ = {fmean(rows['call_acceptance_rate'].tolist()):.2f}"


MEASURED = Drawing(
    name="fig6_time_saved",
    shows="Time saved against tool latency, by draft, with live models; the paper's figure 6 beside it.",
    draw=draw_live,
    sources=(sources.cells("fig6", columns=COLUMNS), sources.cells("pocket", columns=COLUMNS)),
    paper=(_PAPER,),
)
REPLAYED = Drawing(
    name="fig6_time_saved_replayed",
    shows="Time saved against tool latency, by draft, from recorded trajectories; the paper's figure 6 beside it.",
    draw=draw,
    sources=(sources.cells("fig6_replay", "fig1", columns=COLUMNS),),
    paper=(_PAPER,),
)
