"""How figures look: sizes, colours, markers, axes. No pyplot, no global state."""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator, ScalarFormatter

from bench.analysis.words import batch_label, number, problem_label, schedule_label, seconds_number
from bench.report.files import write_whole

# Okabe & Ito 2008, "Color universal design", yellow left out: it can't be read on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
INK = "#444444"
DPI = 150
_CROWDED = 12
_LONGEST, _SHORTEST = 40, 16  # letters of a problem's name in a title, where the optimizer's takes the room too
_TITLE = _LONGEST + _SHORTEST  # of both
_SCHEDULE = 24  # letters of a schedule
_PLACES = re.compile(rb' (?:d|x|y|transform)="[^"]*"')  # attributes of an SVG that hold places; text is left alone
_FRACTION = re.compile(rb"(\.\d\d)\d+")
_UNTURNED = re.compile(rb' transform="rotate\(-0 [^"]*"')  # of every text of an SVG that stands upright
_NARROWEST = 8.0  # inches: room for a title


def new_figure(panel: tuple[float, float], rows: int, columns: int, *, left: float, right: float, bottom: float,
               top: float, between: tuple[float, float] = (0.25, 0.55),
               share_y: bool = True) -> tuple[Figure, np.ndarray]:
    """A figure of its own with rows × columns panels of one size; all lengths in inches.

    Margins are given and not searched for: a layout that looks for them draws everything one time more.

    Args:
        panel: width and height of a panel.
        between: space between columns and between rows.
        share_y: whether the panels of a row share their y axis.

    Returns:
        the figure and its axes, (rows, columns); panels of a column share their x axis.
    """
    right = max(right, _NARROWEST - left - columns * panel[0] - (columns - 1) * between[0])
    width = left + columns * panel[0] + (columns - 1) * between[0] + right
    height = bottom + rows * panel[1] + (rows - 1) * between[1] + top
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    margins = {"left": left / width, "right": 1 - right / width, "bottom": bottom / height, "top": 1 - top / height,
               "wspace": between[0] / panel[0], "hspace": between[1] / panel[1]}
    axes = figure.subplots(rows, columns, sharex="col", sharey="row" if share_y else False, squeeze=False,
                           gridspec_kw=margins)
    return figure, axes


def heading(figure: Figure, text: str) -> None:
    """The title of a figure, at its top left."""
    figure.suptitle(text, fontsize=11, x=0.12 / figure.get_figwidth(), y=1 - 0.1 / figure.get_figheight(), ha="left",
                    va="top")


def panel_title(axes: Axes, text: str) -> None:
    """The title of a panel, at its top left; its height is given, as margins are, and not searched for."""
    axes.set_title(text, fontsize=10, loc="left", y=1.0)


def looks(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """A colour and a marker for each name, by its place; the same names look the same in every figure of a run."""
    return {name: (COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]) for place, name in enumerate(names)}


def plain(text: str, longest: int = _TITLE) -> str:
    """Text as it stands: a name with dollar signs is no formula, and none is longer than there is room for."""
    return _short(text, longest).replace("$", r"\$").replace("\n", " ")


def schedule_text(name: str) -> str:
    """A schedule as figures have it, cut where there is no room; see `plain`."""
    return plain(schedule_label(name), _SCHEDULE)


def title_of(problem: str, optimizer: str, *, several: bool, longest: int = _LONGEST) -> str:
    """A problem in a figure's title; where it has several optimizers a long name gives way to that of this one.

    Example:
        >>> title_of("my_long_module:make_problem", "adam", several=True, longest=24)
        'my_long_module:m… (adam)'
    """
    room = max(longest - len(f" ({optimizer})"), _SHORTEST) if several else longest
    return problem_label(_short(problem, room), optimizer, several=several)


def folded(text: str, width: int) -> str:
    """Text in lines of at most `width` letters, three at most; see `plain`.

    Example:
        >>> folded("inverse time (decay=20)", 18).splitlines()
        ['inverse time', '(decay=20)']
    """
    lines = textwrap.wrap(text, width, max_lines=3, placeholder="…", break_on_hyphens=False)
    return "\n".join(plain(line) for line in lines)


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest - 1] + "…"


def batch_axis(axes: Axes, sizes: Sequence[int], examples: int) -> None:
    """A logarithmic axis of batch sizes, with a tick at each and BGD called "all (1797)"."""
    axes.set_xscale("log", base=2)
    shown = list(sizes) if len(sizes) <= _CROWDED else list(sizes)[:: -(-len(sizes) // _CROWDED)]
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(shown, [batch_label(size, examples).replace(" ", "\n") for size in shown], fontsize=9)
    axes.set_xlim(min(sizes) / 1.7, max(sizes) * 1.7)


def suits_log(values: np.ndarray, *, above_optimum: bool) -> bool:
    """Whether losses are shown on a logarithmic axis: a utility's may be below 0, one at its known optimum is left out.

    Example:
        >>> suits_log(np.array([-1.0, 2.0]), above_optimum=False), suits_log(np.array([0.0, 2.0]), above_optimum=True)
        (False, True)
    """
    finite = values[np.isfinite(values)]
    return bool((finite > 0).any() if above_optimum else (finite > 0).all()) or len(finite) == 0


def log_axis(axes: Axes, which: str, *, seconds: bool = False) -> None:
    """A logarithmic axis with numbers that read as they are spoken: 0.01, 1,000 or 20 ms."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis.set_major_formatter(number_ticks(seconds=seconds))
    axis.set_minor_locator(NullLocator())


def number_ticks(*, seconds: bool = False) -> FuncFormatter:
    """Tick labels as plain numbers, or as seconds in the unit that fits."""
    return FuncFormatter(lambda value, _: seconds_number(value) if seconds else number(value))


def linear_ticks() -> ScalarFormatter:
    """Tick labels of a linear axis that are the numbers themselves, not what is to be added to one at its end."""
    return ScalarFormatter(useOffset=False)


def tick_places(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis: at 1, 2, 5 where it spans less than two decades, else at whole decades, at most 8.

    Where it spans less than a factor of 4, as few of these would fall on it, they are even.

    Example:
        >>> tick_places(0.9, 12.0), tick_places(0.34, 0.75)
        ([1.0, 2.0, 5.0, 10.0], [0.4, 0.5, 0.6, 0.7])
    """
    if high / low < 4:
        even = MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high)
        return [float(f"{place:.6g}") for place in even if low <= place <= high]
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1.0, 2.0, 5.0) if high / low < 100 else (1.0,)
    places = [step * 10.0**decade for decade in decades for step in steps if low <= step * 10.0**decade <= high]
    return places[:: -(-len(places) // 8) or 1]


def grid(axes: Axes) -> None:
    """A faint grid behind the data."""
    axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def step_band(axes: Axes, x: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str | tuple[float, ...]) -> None:
    """A band around a step curve; places where neither end moves are left out, which makes the drawing smaller."""
    moves = np.append(True, (np.diff(low) != 0) | (np.diff(high) != 0))
    moves[-1] = True
    axes.fill_between(x[moves], low[moves], high[moves], color=colour, alpha=0.13, linewidth=0, step="post")


def room_below(lines: int) -> float:
    """Inches below a panel for the title of its axis and the legend of so many lines."""
    return 0.75 + 0.2 * (1 + -(-lines // 3))


def legend_below(axes: Axes, title: str) -> None:
    """The legend of a panel 3.2 inches high, below the title of its x axis."""
    axes.legend(title=title, fontsize=8, title_fontsize=8, frameon=False, loc="upper center", ncols=3,
                bbox_to_anchor=(0.5, -0.14), columnspacing=1.2)


def shades(count: int) -> list[tuple[float, ...]]:
    """Colours of so many batch sizes, dark to light; those of schedules have no order."""
    return [tuple(colour) for colour in colormaps["viridis"](np.linspace(0.0, 0.88, max(2, count)))][:count]


def _shortened(svg: bytes) -> bytes:
    """The same drawing with places to a hundredth of a point, not a millionth: a fifth smaller in the page."""
    return _PLACES.sub(lambda found: _FRACTION.sub(rb"\1", found[0]), _UNTURNED.sub(b"", svg))


def save(figure: Figure, stem: Path) -> tuple[str, str]:
    """Write stem.png (150 dpi) and stem.svg and return their names; the same figure gives the same bytes."""
    names = []
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        buffer = io.BytesIO()
        # of the ten families that each text would name, the one that Matplotlib brings along
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "gdjax", "font.sans-serif": ["DejaVu Sans"]}):
            figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
        names.append(f"{stem.name}.{kind}")
        content = buffer.getvalue()
        write_whole(stem.with_name(names[-1]), _shortened(content) if kind == "svg" else content)
    return names[0], names[1]
