"""The picture of a history: seconds to target over time, of all problems together and of each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import matplotlib.dates as mdates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import CARETDOWN, CARETUP
from matplotlib.ticker import FixedLocator, MaxNLocator

from bench.analysis.intervals import Estimate
from bench.analysis.words import seconds_number
from bench.history import Entry, History
from bench.report.style import INK, grid, heading, log_axis, looks, new_figure, plain, save, tick_places

PANEL, COLUMNS = (3.0, 1.75), 3  # inches
MOST = 11  # problems with a panel of their own
NARROWEST = 1.5  # a panel spans at least this factor up and down: less would make noise look like news
SHORTEST = timedelta(hours=12)  # around the first and the last run
MISSED = "×: a problem's targets were reached by no cell in half of its starts. "
AT_ONCE = "▾, or a bar down to the axis: 0 s, the target is met at the start.\n"
ENDLESS = "▴: the bar has no upper end: hardly half of the starts reached the target.\n"
_FAR = 1e9  # times the median: above every axis
HOW = ("One training with the soonest batch size and schedule (solo), median over its starts; bars: 95 % interval over "
       "starts and step times.\nA line joins runs of one suite, device, machine, configuration and set of targets; "
       "another line may have other targets. The scale of seconds is logarithmic; lower is better.")


def draw(history: History, stem: Path) -> list[Path]:
    """Draw the series into stem.png and stem.svg.

    Raises:
        OSError: the folder can't be written.
        ValueError: there is nothing to draw.
    """
    return [stem.with_name(name) for name in save(history_figure(history.series()), stem)]


def history_figure(series: Mapping[str, Sequence[Entry]]) -> Figure:
    """A panel for all problems together, then one a problem; a line each series, points at the starts of the runs.

    Args:
        series: name of a line -> its runs, oldest first, at least one.
    """
    if not series:
        raise ValueError("series: nothing to draw (got no run with a headline). Run a suite to its end.")
    problems = list(dict.fromkeys(name for runs in series.values() for name, _ in runs[0].key.goals))
    shown = problems[:MOST] if len(problems) > 1 else problems
    panels = [*([None] if len(problems) > 1 else []), *shown]
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = new_figure(PANEL, rows, columns, left=0.85, right=0.3, bottom=1.05, top=0.85 + 0.18 * len(series),
                              between=(0.75, 0.9), share_y=False)
    styles = looks(list(series))
    for place, panel in zip(axes.flat, panels, strict=False):
        _panel(place, series, styles, panel)
    for place in axes.flat[len(panels):]:
        place.remove()
    for place in axes.flat[:len(panels)]:
        _dates(place, [run for runs in series.values() for run in runs])
    heading(figure, "Seconds to target, over time: " + ("geometric mean over the problems, and each problem"
                                                        if len(problems) > 1 else plain(problems[0])))
    left, height = 0.12 / figure.get_figwidth(), figure.get_figheight()
    handles = [Line2D([], [], color=colour, marker=marker, markersize=5, linewidth=1.4)
               for colour, marker in styles.values()]
    figure.legend(handles, [plain(name, 110) for name in styles], loc="upper left", frameon=False, fontsize=8.5,
                  bbox_to_anchor=(left / 2, 1 - 0.3 / height), borderaxespad=0.2)
    hidden = f"{len(problems) - len(shown)} more problems have no panel. " if len(problems) > len(shown) else ""
    missed = any(math.isinf(run.headline) for runs in series.values() for run in runs)
    at_once = any(0 in winner.seconds for runs in series.values() for run in runs for winner in run.winners)
    endless = any(_endless(winner.seconds) for runs in series.values() for run in runs for winner in run.winners)
    figure.text(left, 0.1 / height, AT_ONCE * at_once + ENDLESS * endless + hidden + MISSED * missed + HOW, fontsize=8,
                color=INK, va="bottom")
    return figure


def value_of(run: Entry, problem: str | None) -> Estimate | None:
    """What a panel shows of a run: the headline (its interval is not known: only the point), or one problem's."""
    if problem is None:
        return Estimate(run.headline, run.headline, run.headline)
    return next((winner.seconds for winner in run.winners if winner.problem == problem), None)


def _endless(value: Estimate) -> bool:
    return math.isfinite(value.value) and math.isinf(value.high)


def _panel(axes: Axes, series: Mapping[str, Sequence[Entry]], styles: Mapping[str, tuple[str, str]],
           problem: str | None) -> None:
    ends: list[float] = []
    for name, (colour, marker) in styles.items():
        points = [(run.started, value) for run in series[name] if (value := value_of(run, problem)) is not None]
        if not points:
            continue
        when = np.array(mdates.date2num([moment for moment, _ in points]))
        middle, low, high = np.array([value for _, value in points]).T
        missed, at_once, endless = ~np.isfinite(middle), middle == 0, np.array([_endless(value) for _, value in points])
        for which, height, sign in ((missed, 0.95, "x"), (at_once, 0.05, CARETDOWN), (endless, 0.97, CARETUP)):
            axes.plot(when[which], np.full(which.sum(), height), marker=sign, color=colour, linestyle="none",
                      transform=axes.get_xaxis_transform())
        drawn = ~(missed | at_once)
        middle = np.where(drawn, middle, np.nan)  # the line breaks where there is no place for a point
        bars = np.array([np.where(np.isfinite(end), end, middle) for end in (low, high)])
        ends += [end for end in (*middle[drawn], *bars[:, drawn].flat) if end > 0]
        bars[1] = np.where(endless, middle * _FAR, bars[1])
        axes.errorbar(when, middle, yerr=np.abs(bars - middle), color=colour, marker=marker, markersize=5,
                      linewidth=1.4, elinewidth=0.9, capsize=2)
    goals = {goal for runs in series.values() for name, goal in runs[0].key.goals if name == problem}
    title = ("all problems together" if problem is None else
             f"{plain(problem)}\n{goals.pop() if len(goals) == 1 else 'targets: see the lines'}")
    axes.set_title(title, fontsize=8.5, loc="left", fontweight="bold" if problem is None else "normal")
    log_axis(axes, "y", seconds=True)
    _seconds(axes, ends)
    axes.tick_params(labelsize=8, labelbottom=True)
    axes.set_ylabel("time to target", fontsize=8)
    grid(axes)


def _seconds(axes: Axes, ends: Sequence[float]) -> None:
    """A range that is no narrower than a factor, and ticks at round numbers of it."""
    low, high = (min(ends), max(ends)) if ends else (1.0, 1.0)
    # room for whole markers: a share of the axis, however much that spans
    middle, half = math.sqrt(low * high), max(math.sqrt(high / low) ** 1.2, NARROWEST)
    low, high = middle / half, middle * half
    axes.set_ylim(low, high)
    ticks = tick_places(low, high)
    if len(ticks) < 3:
        between = MaxNLocator(nbins=4, steps=[1, 2, 5, 10]).tick_values(low, high)
        ticks = [tick for tick in between if low <= tick <= high]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    if len(set(map(seconds_number, ticks))) < len(ticks):
        axes.yaxis.set_major_locator(FixedLocator(ticks[::2]))


def _dates(axes: Axes, runs: Sequence[Entry]) -> None:
    first, last = min(run.started for run in runs), max(run.started for run in runs)
    room = max((last - first) * 0.06, SHORTEST)
    axes.set_xlim(mdates.date2num(first - room), mdates.date2num(last + room))
    locator = mdates.AutoDateLocator(minticks=2, maxticks=5)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    axes.xaxis.get_offset_text().set_fontsize(8)
    axes.set_xlabel("start of the run (UTC)", fontsize=8, loc="left")
