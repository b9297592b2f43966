"""Figures over batch size × schedule: final loss as a heat map, outcomes as stacked bars."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from bench.analysis.curves import outcome_shares
from bench.analysis.goals import Goal
from bench.analysis.words import LOSS_DIGITS, batch_label, number, together
from bench.report.style import heading, linear_ticks, new_figure, number_ticks, plain, schedule_text, tick_places

_OUTCOMES = (("hit", "hit the target", "#009E73", ""),
             ("hit_then_diverged", "hit it, then diverged", "#E69F00", "\\\\"),
             ("missed", "missed it in the budget", "#CCCCCC", ""), ("diverged", "diverged before it", "#D55E00", "//"))
_LOST = "diverged"  # what a median final loss of ∞ is


def loss_figure(rows: pd.DataFrame, name: str) -> Figure:
    """Heat map of the final loss: gap above the optimum where that is known, diverged lanes said in each cell.

    Args:
        rows: the summary of one problem, optimizer, device and target.
        name: of the problem, for the title.
    """
    known = bool(rows["final_gap_median"].notna().any())
    column = "final_gap_median" if known else "final_loss_median"
    sizes, schedules = sorted(rows["batch_size"].unique()), sorted(rows["schedule"].unique())
    values = rows.pivot(index="schedule", columns="batch_size", values=column).loc[schedules, sizes].to_numpy(float)
    names = [schedule_text(schedule) for schedule in schedules]
    panel = (max(1.15 * len(sizes), 3.5) + 1.2, max(0.5 * len(schedules), 1.6))
    figure, panels = new_figure(panel, 1, 1, left=0.5 + 0.09 * max(map(len, names)), right=0.1, bottom=0.65, top=0.75)
    axes = panels[0, 0]
    scale = _scale(values)
    colours = colormaps["cividis_r"].with_extremes(bad="#eeeeee")
    image = axes.imshow(np.where(np.isfinite(values), values, np.nan), cmap=colours, norm=scale, aspect="auto")
    said = final_words(rows[column].to_numpy(float).tolist(), known=known)
    for (_, row), words in zip(rows.iterrows(), said, strict=True):
        place = sizes.index(row["batch_size"]), schedules.index(row["schedule"])
        value = float(row[column])
        dark = math.isfinite(value) and sum(colours(scale(value))[:3]) < 1.5
        if not math.isfinite(value):
            axes.add_patch(Rectangle((place[0] - 0.5, place[1] - 0.5), 1, 1, facecolor="#eeeeee", edgecolor="#aaaaaa",
                                     hatch="///", linewidth=0))
        axes.text(*place, _cell_text(row, words), ha="center", va="center", fontsize=8,
                  color="white" if dark else "black",
                  bbox=None if math.isfinite(value) else {"facecolor": "#eeeeee", "edgecolor": "none", "pad": 1.5})
    examples = int(rows["problem_examples"].iloc[0])
    axes.set_xticks(range(len(sizes)), [batch_label(size, examples) for size in sizes])
    axes.set_yticks(range(len(schedules)), names)
    axes.set_xlabel("batch size (examples per step)")
    if len(np.unique(values[np.isfinite(values)])) > 1:  # a scale of one colour tells nothing
        ticks = tick_places(float(scale.vmin or 0), float(scale.vmax or 1)) if isinstance(scale, LogNorm) else None
        bar = figure.colorbar(image, ax=axes, label="loss above the optimum" if known else "loss", pad=0.02,
                              ticks=ticks, format=number_ticks() if ticks else linear_ticks())
        bar.minorticks_off()
    heading(figure, f"{plain(name)}: final loss {'above the optimum ' if known else ''}at the end of the budget\n"
                    f"(median over starts; settings tuned to get {_goal(rows)}; yellow is lowest)")
    return figure


def final_words(values: Sequence[float], *, known: bool) -> list[str]:
    """Median final losses of cells in words, those whose optimum is not known with digits that tell them apart.

    Example:
        >>> final_words([-4.9964, -4.981, math.inf], known=False)
        ['-4.996', '-4.981', 'diverged']
    """
    told = [number(value, 2) for value in values] if known else together(values, LOSS_DIGITS)
    return [_LOST if math.isinf(value) else words for value, words in zip(values, told, strict=True)]


def outcome_figure(rows: pd.DataFrame, name: str) -> Figure:
    """Stacked bars of how the reported lanes ended, one panel per schedule."""
    shares = outcome_shares(rows)
    sizes, schedules = sorted(rows["batch_size"].unique()), sorted(rows["schedule"].unique())
    panel = (max(1.4, 0.42 * len(sizes)), 2.2)
    figure, panels = new_figure(panel, 1, len(schedules), left=0.75, right=0.2, bottom=1.35, top=0.65)
    examples = int(rows["problem_examples"].iloc[0])
    for axes, schedule in zip(panels[0], schedules, strict=True):
        bars = shares[shares["schedule"] == schedule].set_index("batch_size").reindex(sizes)
        bottom = np.zeros(len(sizes))
        for column, _, colour, hatch in _OUTCOMES:
            share = bars[column].fillna(0).to_numpy(float) * 100
            axes.bar(range(len(sizes)), share, bottom=bottom, color=colour, hatch=hatch, edgecolor="white",
                     linewidth=0.4, width=0.85)
            bottom += share
        axes.set_xticks(range(len(sizes)), [batch_label(size, examples) for size in sizes], rotation=90, fontsize=8)
        axes.set_title(schedule_text(schedule), fontsize=9, y=1.0)
        axes.set_ylim(0, 100)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0][0].set_ylabel("share of starts (%)")
    height, start = figure.get_figheight(), 0.75 / figure.get_figwidth()
    figure.supxlabel("batch size (examples per step)", fontsize=10, x=start, y=0.42 / height, ha="left", va="bottom")
    handles = [Patch(facecolor=colour, hatch=hatch, edgecolor="white", label=label)
               for column, label, colour, hatch in _OUTCOMES if (shares[column] > 0).any()]
    figure.legend(handles=handles, loc="lower left", ncols=4, frameon=False, fontsize=9,
                  bbox_to_anchor=(start, 0.04 / height), columnspacing=1.5,
                  borderaxespad=0, borderpad=0)
    heading(figure, f"{plain(name)}: how many starts got {_goal(rows)}")
    return figure


def _goal(rows: pd.DataFrame) -> str:
    return Goal.of(rows.iloc[0]).got


def _scale(values: np.ndarray) -> Normalize:
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return Normalize(0, 1)
    low, high = float(finite.min()), float(finite.max())
    if low > 0:
        return LogNorm(low, max(high, low * 1.001))
    return Normalize(low, max(high, low + 1e-12))


def _cell_text(row: pd.Series, words: str) -> str:
    more = "" if words == _LOST else f" {_LOST}"
    return words if row["diverged"] == 0 else f"{words}\n({row['diverged']} of {row['lanes']}{more})"
