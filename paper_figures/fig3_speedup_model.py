"""Figure 3: the speed-up that the cost model gives client-side speculation, over g/G and alpha, for five tool times.

Origin: modelled. Nothing in this figure was measured; it is eq:client-alg-speedup on a grid.
"""

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from paper_figures import style
from paper_figures.command import Drawing
from precall.cost_model.client import client_speedup

TOOL_TIMES = (0.25, 0.5, 0.75, 1.0, 2.0)  # in units of G
NUM_STEPS = 101
CONTOURS = np.round(np.arange(1.1, 2.0, 0.1), 1)
CONTOUR_COLOURS = ["white" if level < 1.5 else "black" for level in CONTOURS]


def speedup_grid(tool_time: float, *, num_steps: int = NUM_STEPS) -> np.ndarray:
    """Return S_spec for G = 1 and T = `tool_time`: rows are alpha and columns g/G, both from 0 to 1."""
    ticks = np.linspace(0.0, 1.0, num_steps)
    return np.array([[client_speedup(G=1.0, g=g, T=tool_time, alpha=alpha) for g in ticks] for alpha in ticks])


def label_places(tool_time: float) -> dict[float, tuple[float, float]]:
    """Return {contour: (g/G, alpha) of its label}: half-way to where it leaves the panel, every second one if dense.

    Source: ours, eq:client-alg-speedup solved for g at alpha = 1, then for alpha at half that g (G = 1).
    """
    standard = 1.0 + tool_time
    places = {}
    for level in CONTOURS.tolist():
        if level > standard / max(1.0, tool_time):
            break
        g = (standard / level - tool_time) / 2.0
        places[level] = (g, standard * (1.0 - 1.0 / level) / (standard - max(1.0, g + tool_time)))
    return places if len(places) <= 4 else dict(list(places.items())[1::2])


def draw() -> Figure:
    """Return the figure with its five panels."""
    figure = style.new_figure(height_in=1.75)
    panels = figure.subplots(1, len(TOOL_TIMES), sharex=True, sharey=True)
    ticks, norm = np.linspace(0.0, 1.0, NUM_STEPS), Normalize(1.0, 2.0)
    for axes, tool_time in zip(panels, TOOL_TIMES, strict=True):
        grid = speedup_grid(tool_time)
        axes.imshow(grid, origin="lower", extent=(0, 1, 0, 1), interpolation="bilinear", cmap=style.HEAT_MAP, norm=norm)
        lines = axes.contour(ticks, ticks, grid, levels=CONTOURS, colors=CONTOUR_COLOURS, linewidths=0.6)
        places = label_places(tool_time)
        axes.clabel(
            lines, levels=list(places), manual=list(places.values()), fmt="%.1f", fontsize=5.5, inline_spacing=1
        )
        axes.set_title(f"T = {tool_time:g} G")
        axes.grid(visible=False)
        axes.set_xticks([0.0, 0.5, 1.0], ["0", "0.5", "1"])
    panels[0].set_ylabel("call acceptance rate $\\alpha$")
    figure.supxlabel("g/G: mean draft generation over mean target generation (T: mean tool time)")
    bar = figure.colorbar(ScalarMappable(norm, style.HEAT_MAP), ax=panels, pad=0.01, ticks=[1.0, *CONTOURS[1::2], 2.0])
    bar.add_lines(CONTOURS, CONTOUR_COLOURS, 0.6)
    bar.set_label("$S_\\mathrm{spec}$, modelled")
    return figure


DRAWING = Drawing(
    name="fig3_speedup_model",
    shows="The speed-up that the cost model gives the client side, over g/G and alpha.",
    draw=draw,
    about={"origin": "modelled", "equation": "eq:client-alg-speedup", "T_over_G": TOOL_TIMES, "steps": NUM_STEPS},
)
