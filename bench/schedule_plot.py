"""Every schedule in one picture: a panel each, the rate over the budget, with name, formula and default numbers."""

from __future__ import annotations

import inspect
import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, PercentFormatter

import gdjax
from bench.report.style import COLOURS, INK, grid, heading, new_figure, plain, save

_STEPS = 1000
_COLUMNS = 4
_PANEL = (2.7, 1.15)  # inches
_FORMULA_WIDTH = 47  # characters of the formula in a line over a panel
_HOW_TO_READ = ("Bold: the name, as in schedules=\"linear\". Then its formula, t = share of the budget that is spent. "
                "Italic: its numbers with their defaults, as in gdjax.schedules.linear(end=0.1).")
_BARS = "▁▁▂▃▄▅▆▇█"


def draw(stem: Path) -> list[Path]:
    """Draw all registered schedules with their default numbers into stem.png and stem.svg.

    Raises:
        OSError: the folder can't be written.
    """
    return [stem.with_name(name) for name in save(schedule_figure(), stem)]


def schedule_figure() -> Figure:
    """One panel a schedule, in the order of the registry.

    Example:
        >>> len(schedule_figure().axes) == len(gdjax.schedules.names())
        True
    """
    names = gdjax.schedules.names()
    rows = -(-len(names) // _COLUMNS)
    figure, panels = new_figure(_PANEL, rows, _COLUMNS, left=0.7, right=0.25, bottom=0.6, top=1.25,
                                between=(0.25, 0.95))
    for axes, name in zip(panels.flat, names, strict=False):
        _panel(axes, name)
    for axes in panels.flat[len(names):]:
        axes.remove()
    for axes in panels.flat[len(names) - _COLUMNS:len(names)]:  # the lowest of each column
        axes.set_xlabel("share of the budget", fontsize=8.5)
        axes.tick_params(labelbottom=True)
        for label, side in zip(axes.get_xticklabels(), ("left", "center", "right"), strict=True):
            label.set_horizontalalignment(side)  # inside the panel, clear of the next one's
    for axes in panels[:, 0]:
        axes.set_ylabel("rate ÷ peak rate", fontsize=8.5)
    heading(figure, "Learning-rate schedules: the rate over the budget, as a share of its peak")
    figure.text(0.12 / figure.get_figwidth(), 1 - 0.4 / figure.get_figheight(), _HOW_TO_READ, fontsize=8.5, color=INK,
                va="top")
    return figure


def in_words() -> dict[str, str]:
    """Every schedule for a terminal: its curve in bars, its formula, its numbers.

    >>> in_words()["linear"]
    '█▇▇▆▆▅▅▄▄▃▃▂▂▁▁▁  1 − (1 − end)·t; end=0'
    """
    return {name: f"{sparkline(name)}  {'; '.join(filter(None, (formula(name), numbers(name))))}"
            for name in gdjax.schedules.names()}


def factors(name: str) -> np.ndarray:
    """Factors of a schedule with its default numbers at 1,001 times, from the first step to the end of the budget."""
    return gdjax.schedules.evaluate(gdjax.schedules.get(name), np.arange(_STEPS + 1), _STEPS, 1.0)


def formula(name: str) -> str:
    """The formula of a schedule, as the first line of its docstring has it.

    >>> formula("linear")
    '1 − (1 − end)·t'
    """
    first = (gdjax.schedules.KINDS[name].__doc__ or name).strip().split("\n")[0]
    return first.partition(": ")[2].rstrip(".")


def numbers(name: str) -> str:
    """The numbers of a schedule with their defaults.

    >>> numbers("staircase")
    'factor=0.5, every=0.1'
    """
    arguments = inspect.signature(gdjax.schedules.KINDS[name]).parameters.values()
    return ", ".join(f"{each.name}={each.default:g}" for each in arguments)


def sparkline(name: str, width: int = 16) -> str:
    """A schedule as a line of bars, the mean factor of each `width`-th of the budget.

    >>> sparkline("step", 4)
    '██▁▁'
    """
    means = [float(part.mean()) for part in np.array_split(factors(name)[:-1], width)]
    return "".join(_BARS[round(min(max(mean, 0.0), 1.0) * 8)] for mean in means)


def _panel(axes: Axes, name: str) -> None:
    times, values = np.arange(_STEPS + 1) / _STEPS, factors(name)
    axes.fill_between(times, values, color=COLOURS[0], alpha=0.12, linewidth=0)
    axes.plot(times, values, color=COLOURS[0], linewidth=1.8)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.08)
    axes.xaxis.set_major_locator(FixedLocator([0, 0.5, 1]))
    axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.yaxis.set_major_locator(FixedLocator([0, 0.5, 1]))
    axes.tick_params(labelsize=8)
    grid(axes)
    lines = textwrap.wrap(formula(name), _FORMULA_WIDTH)
    for text, height, style in (
        (plain(name), 13 + 10 * len(lines), {"fontsize": 10, "fontweight": "bold"}),
        ("\n".join(plain(line, 80) for line in lines), 13, {"fontsize": 7.5, "linespacing": 1.1}),
        (plain(numbers(name), 60), 3, {"fontsize": 7.5, "color": INK, "style": "italic"}),
    ):
        axes.annotate(text, (0, 1), (0, height), xycoords="axes fraction", textcoords="offset points", va="bottom",
                      **style)
