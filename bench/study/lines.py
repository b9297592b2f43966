"""The lines of a picture as they can be drawn: colours, markers, points that have a place on their axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.report.style import COLOURS, INK, MARKERS
from bench.study.claim import Picture, Series

_BEYOND = 2.0  # times the greatest figure: where an interval without an end is drawn to on a logarithmic axis
_ABOVE = 0.25  # of the span of all figures above the greatest: the same on a linear one


@dataclass(frozen=True)
class Line:
    """One series, ready to draw: (points,) arrays of one length; `low` and `high` are None without an interval.

    An interval without an upper end goes to the edge; `endless` says which, none where there are no intervals.
    """

    name: str
    colour: str
    marker: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None
    endless: np.ndarray
    joined: bool
    theory: bool


@dataclass(frozen=True)
class Panel:
    """A picture, ready to draw: its lines, the scales that its points allow, how many points have no place."""

    lines: Sequence[Line]
    x_log: bool
    y_log: bool
    left_out: int

    @property
    def endless(self) -> bool:
        """Whether an interval has no upper end."""
        return any(line.endless.any() for line in self.lines)


def panel_of(picture: Picture) -> Panel:
    """Colours by place, theory in the colour of what it is compared with; points that no axis can show are left out.

    A logarithmic axis shows nothing at or below zero; where no point is above, the axis is linear.

    Example:
        >>> panel_of(Picture("t", "x", "y", [Series("a", [0.0, 1.0, 2.0], [1.0, 2.0, 4.0])])).left_out
        1
    """
    x_log = picture.x_log and any(np.any(np.asarray(series.x, float) > 0) for series in picture.series)
    y_log = picture.y_log and any(np.any(np.asarray(series.y, float) > 0) for series in picture.series)
    edges = _edges(picture.series, y_log)
    measured = [series for series in picture.series if not series.theory]
    theories = [series for series in picture.series if series.theory]
    lines, left_out = [], 0
    for group in (measured, theories):
        for place, series in enumerate(group):
            own = not series.theory or len(theories) == len(measured) > 1
            colour = COLOURS[place % len(COLOURS)] if own else INK
            line = _line(series, colour, MARKERS[place % len(MARKERS)], x_log, y_log, edges)
            left_out += len(series.x) - len(line.x)
            lines.append(line)
    return Panel([line for line in lines if len(line.x)], x_log, y_log, left_out)


def note_of(panel: Panel) -> str:
    """How to read a picture, in a line."""
    parts = ["dashed: theory"] if any(line.theory for line in panel.lines) else []
    if any(line.low is not None for line in panel.lines):
        parts.append("bands and bars: 95 % intervals")
    if panel.endless:
        parts.append("a hollow triangle where one has no end")
    if panel.left_out:
        parts.append(f"not shown, being zero, negative or not finite: {panel.left_out} of the points")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _line(series: Series, colour: str, marker: str, x_log: bool, y_log: bool, edges: tuple[float, float]) -> Line:
    x, y = np.asarray(series.x, float), np.asarray(series.y, float)
    shown = np.isfinite(x) & np.isfinite(y) & ((x > 0) | (not x_log)) & ((y > 0) | (not y_log))
    low, high = (np.asarray(ends, float) if len(ends) else None for ends in (series.low, series.high))
    if low is None or high is None:
        return Line(series.name, colour, marker, x[shown], y[shown], None, None, np.zeros(shown.sum(), bool),
                    series.line, series.theory)
    endless = np.isposinf(high)
    low = np.where(np.isfinite(low), np.maximum(low, edges[0]), y)
    high = np.where(np.isfinite(high), high, np.where(endless, edges[1], y))
    return Line(series.name, colour, marker, x[shown], y[shown], low[shown], high[shown], endless[shown], series.line,
                series.theory)


def _edges(series: Sequence[Series], y_log: bool) -> tuple[float, float]:
    """Where intervals end that the axis can't hold: at the smallest figure above zero, and above the greatest."""
    y, low, high = (np.concatenate([np.asarray(getattr(each, name), float) for each in series])
                    for name in ("y", "low", "high"))
    below, above = (values[np.isfinite(values) & ((values > 0) | (not y_log))]
                    for values in (np.append(y, low), np.append(y, high)))
    least, most = float(below.min(initial=np.inf)), float(above.max(initial=-np.inf))
    return (least, _BEYOND * most) if y_log else (-np.inf, most + _ABOVE * (most - least))
