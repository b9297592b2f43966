"""Figure of the gradient noise scale along a run, against steps and against the loss."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from bench.analysis.ecdf import START
from bench.analysis.goals import Goal
from bench.analysis.noise_along import NoiseAlong
from bench.analysis.words import batch_words, number, schedule_words
from bench.report.style import COLOURS, grid, heading, log_axis, new_figure, plain, suits_log, tick_places


def noise_scale_figure(along: NoiseAlong, name: str, optimum: float) -> Figure:
    """Median noise scale with its 95 % interval over starts, the fitted critical batch size as a band across.

    Args:
        along: of one problem, optimizer and device.
        name: of the problem, for the title.
        optimum: subtracted from the loss, or NaN to show the loss itself.
    """
    curve, (gaps, logarithmic) = along.curve, loss_axis(along, optimum)
    figure, panels = new_figure((4.4, 3.0), 1, 2, left=1.25, right=0.2, bottom=0.8, top=0.65)
    steps, losses = panels[0]
    limits = limits_of(along)
    for axes, x in ((steps, curve["step"].clip(lower=START).to_numpy(float)), (losses, gaps)):
        if axes is steps or logarithmic:
            log_axis(axes, "x")
        log_axis(axes, "y")
        grid(axes)
        _critical(axes, along, limits)
        middle = curve["b_simple"].where(np.isfinite(curve["b_simple"])).clip(*limits)
        low, high = (curve[part].clip(*limits) for part in ("low", "high"))
        if axes is steps:
            axes.fill_between(x, low, high, color=COLOURS[0], alpha=0.2, linewidth=0)
        else:  # a loss that rises now and then would fold a band over itself
            axes.vlines(x, low, high, color=COLOURS[0], alpha=0.5, linewidth=2.5)
        axes.plot(x, middle, color=COLOURS[0], marker="o", markersize=4.5, linewidth=1.5 if axes is steps else 0.7,
                  label=f"noise scale, {batch_words(along.batch_size, along.examples)}\n"
                        f"with {plain(schedule_words(along.schedule), 30)}")
        axes.set_ylim(limits)
        axes.yaxis.set_major_locator(FixedLocator(tick_places(*limits)))
    steps.set_xlabel("steps (updates)")
    ticks = [place for place in tick_places(1.0, max(2.0, float(curve["step"].max()))) if place.is_integer()]
    steps.set_xticks([START, *ticks], ["start", *map(number, ticks)])
    steps.set_ylabel("gradient noise scale\n(examples; median over starts)")
    if logarithmic:
        losses.xaxis.set_major_locator(FixedLocator(tick_places(*losses.get_xlim())))
    losses.set_xlabel("loss of all data" if math.isnan(optimum) else "loss of all data above the optimum")
    losses.invert_xaxis()  # both panels run from the start to the end
    steps.legend(fontsize=8, frameon=False, loc="upper left")
    heading(figure, f"{plain(name)}: gradient noise scale along a run, and fitted critical batch size (95 % intervals)")
    return figure


def loss_axis(along: NoiseAlong, optimum: float) -> tuple[np.ndarray, bool]:
    """Losses above the optimum, if known, NaN where the axis can't show them; and whether that is logarithmic."""
    losses = along.curve["loss"].to_numpy(float) - (0.0 if math.isnan(optimum) else optimum)
    logarithmic = suits_log(losses, above_optimum=not math.isnan(optimum))
    return np.where(np.isfinite(losses) & ((losses > 0) | (not logarithmic)), losses, math.nan), logarithmic


def limits_of(along: NoiseAlong) -> tuple[float, float]:
    """Limits of an axis that holds every finite noise scale and the critical batch size, and room for a legend."""
    ends = np.array([*along.curve[["b_simple", "low", "high"]].to_numpy(float).ravel(), *along.b_crit])
    ends = ends[np.isfinite(ends) & (ends > 0)]
    if len(ends) == 0:  # no noise at all
        return 0.1, 10.0
    return float(ends.min()) / 1.5, float(ends.max()) * 4


def _critical(axes: Axes, along: NoiseAlong, limits: tuple[float, float]) -> None:
    if math.isnan(along.b_crit.value):
        return
    low, high = np.clip([along.b_crit.low, along.b_crit.high], *limits)
    axes.axhspan(low, high, color=COLOURS[1], alpha=0.18, linewidth=0)
    axes.axhline(along.b_crit.value, color=COLOURS[1], linestyle="--", linewidth=1.3,
                 label=f"critical batch size {number(along.b_crit.value)},\n{Goal(along.target, along.gap).words}")
