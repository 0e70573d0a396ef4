"""Draft elsewhere against the same hardware given to the target: time saved over the target on its own hardware.

The paper's drafts have three GPUs that its baseline leaves idle, and it does not charge them. Here the baseline is the
target alone on its share of the machine in both cases: a draft elsewhere adds speculation, and the other case gives the
target the share that a draft would have, and no draft.
"""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from paper_figures import data, saved, sources, style
from paper_figures.command import Drawing
from precall.errors import ConfigError

GIVEN = "given_to_target"
WORDS = {
    "elsewhere": "speculation, draft elsewhere",
    "colocated": "speculation, draft on the target's machine",
    "dedicated": "speculation, draft on GPUs of its own",
    GIVEN: "no draft, its hardware given to the target",
}
PAPER = "fig6_time_saved_client"


def draw(speculative: pd.DataFrame, given: pd.DataFrame, paper: pd.DataFrame) -> Figure:
    """Return the figure for cells with a draft, cells whose target has its hardware, and the paper's figure 6.

    Raises ConfigError if the second are something else, or the two differ in agents, tasks, model or origin.
    """
    if set(given["draft_place"]) != {GIVEN}:
        raise ConfigError(
            f"the second cells have draft_place {sorted(set(given['draft_place']))}; it must be {GIVEN}. Draw them "
            "from the folder of the experiment target_hardware."
        )
    both = pd.concat([speculative, given], ignore_index=True)
    data.check_alike(both, ["model", "num_agents", "workload", "origin"], may_differ="draft_place and latency")
    lines = saved.lines_of(both, ("draft_place",), lambda rows: WORDS[rows["draft_place"].iloc[0]])
    looks: list[dict[str, Any]] = [
        {"colour": colour, "look": {"linestyle": linestyle, "marker": marker}}
        for colour, (linestyle, marker), _ in zip(style.SERIES_COLOURS, (("-", "o"), ("--", "s")), lines, strict=False)
    ]
    figure = style.new_figure(height_in=3.6)
    ours, theirs = figure.subplots(1, 2, sharey=True)
    saved.draw_lines(ours, both, lines, looks)
    ours.set_ylabel("time saved per agent (%)")
    ours.set_title("(a) this reproduction")
    saved.draw_paper_drafts(theirs, paper)
    for axes in (ours, theirs):
        axes.set_xlabel("mean tool latency (s)")
    handles = saved.line_handles(lines, looks)
    figure.legend(handles=handles, loc="outside lower left", title=_about(both), alignment="left")
    about = "published: target on 1 GPU, draft on 3 more that\nits baseline leaves idle; not charged"
    figure.legend(handles=style.paper_draft_handles(), loc="outside lower right", title=about, alignment="left")
    return figure


def _about(both: pd.DataFrame) -> str:
    first = both.iloc[0]
    return f"{first['origin']}, {first['num_agents']} agents, tasks {first['workload']}, target {first['model']}"


DRAWING = Drawing(
    name="draft_hardware",
    shows="Time saved by a draft elsewhere against its hardware given to the target.",
    draw=draw,
    sources=(
        sources.cells("fig1", columns=saved.COLUMNS),
        sources.cells("target_hardware", columns=saved.COLUMNS),
    ),
    paper=(PAPER,),
)
