"""The bar chart of a comparison with peers: how many times gdjax's time each peer takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from bench.peers.words import ratio_words
from bench.report.style import COLOURS, INK, heading, log_axis, new_figure, plain, save

ROW = 0.24  # inches


def write(rows: pd.DataFrame, folder: Path) -> tuple[str, str]:
    """Write peers.png and .svg into a folder; their names."""
    return save(draw(rows), folder / "peers")


def draw(rows: pd.DataFrame) -> Figure:
    """One bar for each peer of each workload, with its interval, on a log axis; a tick where its goal is."""
    rows = rows.iloc[::-1].reset_index(drop=True)
    figure, axes = new_figure((5.6, ROW * len(rows) + 0.2), 1, 1, left=4.6, right=1.4, bottom=0.6, top=0.5)
    panel, place = axes[0, 0], np.arange(len(rows))
    names = list(dict.fromkeys(rows["workload"]))
    colours = [COLOURS[names.index(name) % 2] for name in rows["workload"]]
    ratio, low, high = (rows[column].to_numpy(float) for column in ("ratio", "ratio_low", "ratio_high"))
    left = min(0.1, 10 ** np.floor(np.log10(ratio.min())))
    panel.barh(place, ratio - left, left=left, color=colours, height=0.7)
    panel.errorbar(ratio, place, xerr=np.clip([ratio - low, high - ratio], 0, None), fmt="none", ecolor=INK,
                   linewidth=1)
    panel.plot(rows["goal"], place, "|", color="black", markersize=11, markeredgewidth=2, label="goal")
    panel.axvline(1, color=INK, linewidth=1)
    panel.set_xscale("log")
    log_axis(panel, "x")
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xlim(left, high.max() * 1.1)
    panel.set_ylim(-0.6, len(rows) - 0.4)
    panel.set_yticks(place, [plain(f"{row['workload']}: {row['peer']}", 70) for _, row in rows.iterrows()], fontsize=8)
    for at, (_, row) in zip(place, rows.iterrows(), strict=True):
        panel.text(1.01, at, ratio_words(row), transform=panel.get_yaxis_transform(), fontsize=8, va="center")
    panel.set_xlabel("time of the peer / time of gdjax (right of 1, gdjax is faster; 95 % intervals)")
    panel.legend(loc="lower right", fontsize=8, frameon=False)
    heading(figure, "The same work in other systems, in one run: how many times as long as gdjax")
    return figure
