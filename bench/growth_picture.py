"""The picture of a growth measurement: seconds, and peak memory, against the number of lanes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from bench.growth import Point, Request, exponent, memory_ratio
from bench.report.style import COLOURS, INK, grid, heading, log_axis, new_figure, plain, save


def write(request: Request, found: Sequence[Point]) -> tuple[str, str]:
    """Write the PNG and an SVG beside it; their names."""
    return save(draw(request, found), request.out.with_suffix(""))


def draw(request: Request, found: Sequence[Point]) -> Figure:
    """Two panels: time with the line of strict proportion, and memory with and without the table."""
    figure, axes = new_figure((4.4, 3.2), 1, 2, left=0.9, right=0.3, bottom=0.6, top=0.5, between=(0.9, 0.5),
                              share_y=False)
    lanes = np.array([point.lanes for point in found])
    _time(axes[0, 0], lanes, found)
    _memory(axes[0, 1], lanes, found)
    for panel in axes[0]:
        log_axis(panel, "x")
        panel.xaxis.set_major_locator(FixedLocator(lanes.tolist()))
        panel.set_xlabel("lanes (random starts)")
        grid(panel)
        panel.legend(fontsize=8, frameon=False, loc="upper left")
    heading(figure, "How time and memory grow with the number of lanes: "
                    f"BGD on {plain(request.problem)}, {found[0].platform}")
    return figure


def _time(panel: Axes, lanes: np.ndarray, found: Sequence[Point]) -> None:
    seconds = np.array([point.median_s for point in found])
    ends = np.array([[min(point.seconds), max(point.seconds)] for point in found]).T
    slope = exponent(found)
    said = f"; ∝ lanes^{slope:.2f}" if np.isfinite(slope) else ""
    panel.plot(lanes, seconds[-1] * lanes / lanes[-1], "--", color=INK, linewidth=1, label="in proportion to lanes")
    panel.errorbar(lanes, seconds, yerr=np.abs(ends - seconds), color=COLOURS[0], marker="o", capsize=3,
                   label=f"measured, median and range{said}")
    log_axis(panel, "y", seconds=True)
    panel.set_ylabel("time to the finished table")
    panel.set_ylim(top=seconds.max() * 8)


def _memory(panel: Axes, lanes: np.ndarray, found: Sequence[Point]) -> None:
    whole, beside = (np.array(values) / 1e6 for values in (
        [point.peak_bytes for point in found], [point.beside_bytes for point in found]))
    ratio = memory_ratio(found)
    said = f"; × {ratio:.2f} from 10,000 lanes on" if np.isfinite(ratio) else ""
    panel.plot(lanes, whole, color=COLOURS[1], marker="s", label="peak of the process")
    panel.plot(lanes, beside, color=COLOURS[0], marker="o", label=f"beside the table of outcomes{said}")
    panel.set_ylabel("memory, MB")
    panel.set_ylim(0, whole.max() * 1.45)
