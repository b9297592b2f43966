"""The picture of what streaming costs in convergence: epochs to the target over those of full shuffling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from bench.report import style
from bench.report.style import COLOURS, INK, MARKERS, log_axis
from bench.stream import EPOCHS, GAP, ORDERS, Arm, Request


def write(request: Request, found: Sequence[Arm]) -> tuple[str, str]:
    """Write the PNG and an SVG beside it; their names."""
    return style.save(draw(request, found), request.out.with_suffix(""))


def draw(request: Request, found: Sequence[Arm]) -> Figure:
    """A panel for each buffer, a line for each order of the file; misses at the upper edge."""
    base, rest = found[0], found[1:]
    buffers = sorted({arm.buffer for arm in rest})
    figure, axes = style.new_figure((4.4, 3.2), 1, len(buffers), left=0.9, right=0.3, bottom=0.6, top=0.75,
                              between=(0.35, 0.5))
    edge = 1.5 * EPOCHS / base.epochs.value  # what no arm that reached the target can pass
    for panel, buffer in zip(axes[0], buffers, strict=True):
        for place, (order, text) in enumerate(ORDERS.items()):
            mine = [arm for arm in rest if (arm.buffer, arm.order) == (buffer, order)]
            _line(panel, mine, place, text, edge)
        panel.axhline(1.0, color=INK, linestyle="--", linewidth=1, label="full shuffling")
        log_axis(panel, "x")
        log_axis(panel, "y")
        blocks = sorted({arm.block for arm in rest if arm.buffer == buffer})
        panel.xaxis.set_major_locator(FixedLocator(blocks))
        panel.set_ylim(0.5, edge * 1.4)
        panel.yaxis.set_major_locator(FixedLocator(style.tick_places(0.5, edge)))
        panel.set_xlabel("block: neighbouring examples read together")
        share = buffer / base.buffer
        style.panel_title(panel, f"buffer of {buffer:,} examples, {share:.0%} of the file")
        style.grid(panel)
    axes[0, 0].set_ylabel("epochs to the target,\ntimes those of full shuffling")
    axes[0, 0].legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(0, 0.93))
    style.heading(figure, f"What streaming costs in convergence: {style.plain(request.problem)}, SGD, batch "
                          f"{request.batch_size},\nuntil {GAP:g} of the initial gap; medians with 95 % intervals over "
                          f"{request.seeds} seeds")
    return figure


def _line(panel: Axes, arms: Sequence[Arm], place: int, text: str, edge: float) -> None:
    """An order of the file: ratios with their intervals, and arms that missed the target as open marks at the edge."""
    blocks = np.array([arm.block for arm in arms], float)
    ends = np.array([[arm.ratio.low, arm.ratio.value, arm.ratio.high] for arm in arms])
    low, value, high = np.minimum(ends, edge).T
    panel.plot(blocks, value, color=COLOURS[place], linewidth=1)
    for reached, fill in ((True, COLOURS[place]), (False, "white")):
        these = np.isfinite(ends[:, 1]) == reached
        if these.any():
            said = text if reached else f"{text}: not in {EPOCHS} epochs"
            panel.errorbar(blocks[these], value[these], yerr=np.abs(np.array([low, high]) - value)[:, these],
                           color=COLOURS[place], marker=MARKERS[place], markerfacecolor=fill, linestyle="none",
                           capsize=3, label=said)
