"""The lines of a picture as they can be drawn: colours, markers, points that have a place on their axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.report.style import COLOURS, INK, MARKERS
from bench.study.claim import Picture, Series


@dataclass(frozen=True)
class Line:
    """One series, ready to draw: (points,) arrays of one length; `low` and `high` are None without an interval."""

    name: str
    colour: str
    marker: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None
    joined: bool
    theory: bool


@dataclass(frozen=True)
class Panel:
    """A picture, ready to draw: its lines, the scales that its points allow, how many points have no place."""

    lines: Sequence[Line]
    x_log: bool
    y_log: bool
    left_out: int


def panel_of(picture: Picture) -> Panel:
    """Colours by place, theory in the colour of what it is compared with; points that no axis can show are left out.

    A logarithmic axis shows nothing at or below zero; where no point is above, the axis is linear.

    Example:
        >>> panel_of(Picture("t", "x", "y", [Series("a", [0.0, 1.0, 2.0], [1.0, 2.0, 4.0])])).left_out
        1
    """
    x_log = picture.x_log and any(np.any(np.asarray(series.x, float) > 0) for series in picture.series)
    y_log = picture.y_log and any(np.any(np.asarray(series.y, float) > 0) for series in picture.series)
    floor = _floor(picture.series) if y_log else -np.inf
    measured = [series for series in picture.series if not series.theory]
    theories = [series for series in picture.series if series.theory]
    lines, left_out = [], 0
    for group in (measured, theories):
        for place, series in enumerate(group):
            own = not series.theory or len(theories) == len(measured) > 1
            colour = COLOURS[place % len(COLOURS)] if own else INK
            line = _line(series, colour, MARKERS[place % len(MARKERS)], x_log, y_log, floor)
            left_out += len(series.x) - len(line.x)
            lines.append(line)
    return Panel([line for line in lines if len(line.x)], x_log, y_log, left_out)


def note_of(panel: Panel) -> str:
    """How to read a picture, in a line."""
    parts = ["dashed: theory"] if any(line.theory for line in panel.lines) else []
    if any(line.low is not None for line in panel.lines):
        parts.append("bands and bars: 95 % intervals")
    if panel.left_out:
        parts.append(f"not shown, being zero, negative or not finite: {panel.left_out} of the points")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _line(series: Series, colour: str, marker: str, x_log: bool, y_log: bool, floor: float) -> Line:
    x, y = np.asarray(series.x, float), np.asarray(series.y, float)
    shown = np.isfinite(x) & np.isfinite(y) & ((x > 0) | (not x_log)) & ((y > 0) | (not y_log))
    low, high = (np.asarray(ends, float) if len(ends) else None for ends in (series.low, series.high))
    if low is None or high is None:
        return Line(series.name, colour, marker, x[shown], y[shown], None, None, series.line, series.theory)
    low = np.where(np.isfinite(low), np.maximum(low, floor), y)
    high = np.where(np.isfinite(high), high, y)
    return Line(series.name, colour, marker, x[shown], y[shown], low[shown], high[shown], series.line, series.theory)


def _floor(series: Sequence[Series]) -> float:
    """The smallest figure above zero: an interval that reaches zero ends there on a logarithmic axis."""
    values = np.concatenate([np.asarray([*each.y, *each.low], float) for each in series])
    return float(np.min(values[np.isfinite(values) & (values > 0)]))
