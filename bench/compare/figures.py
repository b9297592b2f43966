"""Static figure of a comparison: speed-up against batch size, a panel for each problem."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from bench.compare.plots import drawn_rows, open_ends
from bench.compare.words import LABELS
from bench.report.plots.parts import shifts
from bench.report.style import grid, heading, log_axis, looks, new_figure, plain, tick_places

_COLUMNS = 2
_LEGEND_ROWS = 16  # that fit beside one row of panels
_ROOM = 1.8  # between two ticks, as a factor


def speed_figure(cells: pd.DataFrame, quantity: str) -> Figure:
    """How many times as fast B is as A with 95 % intervals; panels share their axes, 1 is drawn.

    Args:
        cells: `versus(pair, parity).cells`.
        quantity: which of them.
    """
    rows = drawn_rows(cells, quantity)
    problems = list(dict.fromkeys(rows["problem"])) or [""]
    columns = min(_COLUMNS, len(problems))
    styles = looks(sorted(rows["line"].unique()))
    longest = max((len(plain(name)) for name in styles), default=0)
    legend_columns = -(-len(styles) // _LEGEND_ROWS) or 1
    figure, axes = new_figure((4.6, 2.9), -(-len(problems) // columns), columns, left=0.9,
                              right=legend_columns * (0.7 + 0.075 * longest), bottom=0.6, top=0.75,
                              between=(0.35, 0.9))
    ticks = _apart(sorted(int(size) for size in rows["batch_size"].unique()))
    for place, panel in enumerate(axes.flat):
        if place >= len(problems):
            panel.set_visible(False)
            continue
        panel.axhline(1, color="#444444", linewidth=1)
        shown = rows[rows["problem"] == problems[place]]
        moved = shifts(sorted(shown["batch_size"].unique()), len(styles))
        for shift, (name, (colour, marker)) in zip(moved, styles.items(), strict=True):
            mine = shown[shown["line"] == name].sort_values("batch_size")
            x = mine["batch_size"].to_numpy(float) * shift
            value, low, high = (mine[column].to_numpy(float) for column in ("ratio", "bar_low", "bar_high"))
            panel.errorbar(x, value, yerr=[value - low, high - value], color=colour, marker=marker, capsize=2.5,
                           markersize=5, linewidth=1.4, label=plain(name))
            for end, here, at in open_ends(mine):
                panel.plot(x[here], at[here], end, color=colour, markersize=6, fillstyle="none")
        panel.set_title(plain(str(problems[place])), fontsize=10, loc="left")
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(FixedLocator(ticks))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.set_xticks(ticks, [str(size) for size in ticks], fontsize=9)
        panel.xaxis.set_tick_params(labelbottom=True)
        panel.set_xlabel("batch size (examples per step)")
        log_axis(panel, "y")
        panel.yaxis.set_major_locator(FixedLocator(tick_places(*panel.get_ylim())))
        grid(panel)
        if place % columns == 0:
            panel.set_ylabel("times as fast as A")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8.5, frameon=False, ncols=legend_columns, loc="upper right",
                  bbox_to_anchor=(0.995, 1 - 0.7 / figure.get_figheight()))
    endless = any(here.any() for _, here, _ in open_ends(rows))
    heading(figure, f"B against A, {LABELS[quantity]}: above 1, B is faster (95 % intervals"
                    f"{'; hollow triangle: no end' * endless})")
    return figure


def _apart(sizes: list[int]) -> list[int]:
    """The sizes that have room for their number: those too near to the one before are left out."""
    kept: list[int] = []
    for size in sizes:
        if not kept or size >= _ROOM * kept[-1]:
            kept.append(size)
    return kept
