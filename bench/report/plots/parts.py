"""What interactive figures are made of: plain data for plotly.js, views to choose from, axes and marks."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np

from bench.analysis.words import batch_label, schedule_label
from bench.report.style import COLOURS, MARKERS

Json = dict[str, object]
Looks = Mapping[str, tuple[str, str]]
INK, FAINT = "#444444", "#eeeeee"
_SYMBOLS = dict(zip(MARKERS, ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x", "star",
                              "triangle-left", "triangle-right"), strict=True))
Named = TypeVar("Named", str, int)
_DASHES = ("solid", "dash", "dot", "longdash", "dashdot", "longdashdot")


@dataclass(frozen=True)
class Selector:
    """A choice between views: its label and its options, the first one shown at the start."""

    label: str
    options: Sequence[str]


@dataclass(frozen=True)
class Plot:
    """An interactive figure: one view (data and layout of plotly.js) for each choice of its selectors.

    Args:
        identity: unique in the page; letters, digits and dashes.
        title: what it shows, as a heading.
        note: how to read it, in a sentence or two.
        views: by the numbers of the chosen options, "0-2"; "" where there is nothing to choose.
        scales: axes that get a log/linear switch: "x", "y".
        picture: which static picture stands in for it without JavaScript.
        table: the file beside the page that holds its numbers.
    """

    identity: str
    title: str
    note: str
    views: Mapping[str, Json]
    selectors: Sequence[Selector] = ()
    scales: Sequence[str] = ()
    picture: str = ""
    table: str = ""
    height: int = 440


def text(words: str) -> str:
    """Words as plotly.js shows them as they stand: it reads a little HTML."""
    return html.escape(words, quote=False)


def label_of(schedule: str) -> str:
    """A schedule's name in a figure: a name of the user's own, so it is escaped."""
    return text(schedule_label(schedule))


def json_ready(value: object) -> object:
    """The same for JSON: numbers as short as they read, None for what it can't hold, NaN and infinities."""
    if isinstance(value, Mapping):
        return {str(key): json_ready(part) for key, part in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [json_ready(part) for part in value]
    if isinstance(value, float | np.floating):
        number = float(value)
        if not math.isfinite(number):
            return None
        short = float(f"{number:{'.4g' if abs(number) < 1000 else '.7g'}}")
        return int(short) if short.is_integer() and abs(short) < 1e6 else short  # 32, not 32.0: the page holds 80,000
    return int(value) if isinstance(value, np.integer) else value


def line(name: str, colour: str, marker: str, x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray,
         hover: Sequence[str] | str, *, dash: str = "solid", markers: bool = True, shape: str = "linear") -> Json:
    """A line with its legend entry; `name` and `hover`, what is told at each point, are escaped already.

    `hover` is a text for each point, or one template for all of them.
    """
    trace: Json = {"type": "scatter", "mode": "lines+markers" if markers else "lines", "name": name,
                   "legendgroup": name, "x": x, "y": y,
                   "line": {"color": colour, "width": 2, "dash": dash, "shape": shape},
                   "hovertemplate": hover if isinstance(hover, str) else "%{text}<extra></extra>"}
    if not isinstance(hover, str):
        trace["text"] = list(hover)
    return trace | ({"marker": {"symbol": _SYMBOLS[marker], "size": 7}} if markers else {})


def banded(trace: Json, low: np.ndarray, high: np.ndarray) -> Json:
    """The line with a shaded band around it; report.js makes traces of the two ends, which share all else."""
    return trace | {"band": [low, high]}


def open_markers(name: str, colour: str, marker: str, x: np.ndarray, y: np.ndarray, hover: Sequence[str]) -> Json:
    """Hollow markers, for misses and for intervals without an end; they go and come with the line of their name."""
    return {"type": "scatter", "mode": "markers", "legendgroup": name, "showlegend": False, "name": name, "x": x,
            "y": y, "marker": {"symbol": f"{_SYMBOLS[marker]}-open", "size": 9, "color": colour, "line": {"width": 2}},
            "text": list(hover), "hovertemplate": "%{text}<extra></extra>"}


def dashed_looks(names: Sequence[Named]) -> dict[Named, tuple[str, str, str]]:
    """A colour, a marker and a dash for each name or batch size, by its place: lines are told apart without markers.

    A schedule has the colour and marker of `bench.report.style.looks`.
    """
    return {name: (COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)],
                   _DASHES[place // len(COLOURS) % len(_DASHES)]) for place, name in enumerate(names)}


def layout(x: Json, y: Json, **more: object) -> Json:
    """A layout with two axes and the legend above."""
    return {"xaxis": x, "yaxis": y, **more}


def axis(title: str, *, kind: str = "log") -> Json:
    """An axis with its title, which names the unit."""
    return {"title": {"text": text(title)}, "type": kind, "exponentformat": "power"}


def batch_axis(sizes: Sequence[int], examples: int) -> Json:
    """A logarithmic axis of batch sizes with a tick at each."""
    shown = list(sizes) if len(sizes) <= 8 else list(sizes)[:: -(-len(sizes) // 8)]
    labels = [batch_label(size, examples).replace(" ", "<br>") for size in shown]
    low, high = math.log10(min(sizes) / 1.6), math.log10(max(sizes) * 1.6)
    return axis("batch size (examples per step)") | {"tickmode": "array", "tickvals": shown, "ticktext": labels,
                                                     "range": [low, high], "minor": {"ticks": ""}}


def unit_axis(title: str, *, seconds: bool = False) -> Json:
    """A logarithmic axis of counts (10k, 1M) or of seconds (20 µs, 3 ms)."""
    return axis(title) | ({"tickformat": "~s", "ticksuffix": "s"} if seconds else {"exponentformat": "SI"})


def shifts(sizes: Sequence[int], count: int) -> np.ndarray:
    """Factors that set the lines of a batch axis side by side, so that equal ones don't hide each other."""
    room = min((late / early for early, late in pairwise(sizes)), default=4.0)
    return min(room, 4.0) ** (0.3 * np.linspace(-0.5, 0.5, count)) if count > 1 else np.ones(1)
