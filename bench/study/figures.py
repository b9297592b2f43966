"""Static figures of a study: each picture as PNG and SVG."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from bench.report.style import INK, grid, heading, log_axis, new_figure, plain, tick_places
from bench.study.claim import Picture
from bench.study.lines import Line, panel_of

_MANY = 40  # points: markers would hide the line
_NAME = 44  # characters of a legend's entry
_NO_END = "interval without an end"


def picture_figure(picture: Picture) -> Figure:
    """One panel with its title, axes with their units, and a legend beside it."""
    panel = panel_of(picture)
    longest = max((len(name) for name in (*(line.name for line in panel.lines), _NO_END * panel.endless)), default=0)
    figure, axes = new_figure((5.4, 3.5), 1, 1, left=0.9, right=0.7 + 0.07 * min(longest, _NAME), bottom=0.65, top=0.5)
    place: Axes = axes[0][0]
    for line in panel.lines:
        _draw(place, line)
    if panel.endless:
        place.plot([], [], "^", color=INK, fillstyle="none", linestyle="none", label=_NO_END)
    for which, log in (("x", panel.x_log), ("y", panel.y_log)):
        if log:
            _log(place, which)
    grid(place)
    place.set_xlabel(plain(picture.x_label, 90))
    place.set_ylabel(plain(picture.y_label, 60))
    if panel.lines:
        place.legend(fontsize=8.5, frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.02), borderaxespad=0.0)
    heading(figure, plain(picture.title, 120))
    return figure


def _draw(axes: Axes, line: Line) -> None:
    name = plain(line.name, _NAME)
    if line.theory:
        axes.plot(line.x, line.y, color=line.colour, linestyle="--", linewidth=1.4, label=name)
        return
    marker = line.marker if len(line.x) <= _MANY or not line.joined else ""
    axes.plot(line.x, line.y, color=line.colour, marker=marker, markersize=4.5, linewidth=1.5, label=name,
              linestyle="-" if line.joined else "none")
    if line.low is None or line.high is None:
        return
    axes.plot(line.x[line.endless], line.high[line.endless], "^", color=line.colour, fillstyle="none", markersize=6)
    if line.joined:
        axes.fill_between(line.x, line.low, line.high, color=line.colour, alpha=0.15, linewidth=0)
    else:
        below, above = (line.y - line.low).clip(min=0), (line.high - line.y).clip(min=0)
        axes.errorbar(line.x, line.y, yerr=[below, above], fmt="none", ecolor=line.colour, elinewidth=1.2, capsize=2.5)


def _log(axes: Axes, which: str) -> None:
    log_axis(axes, which)
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    (axes.xaxis if which == "x" else axes.yaxis).set_major_locator(FixedLocator(tick_places(low, high)))
