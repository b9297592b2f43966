"""What `python -m bench history` draws: every panel, its numbers, and whether it can be read."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import matplotlib.dates as mdates
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.markers import CARETUP

from bench import history, history_picture
from tests.bench.history_folders import TWO, make, row, times


@pytest.fixture
def drawn(tmp_path: Path) -> Figure:
    """TWO lines, one with a miss in the middle."""
    make(tmp_path / "one", "2026-01-01", TWO)
    make(tmp_path / "two", "2026-01-11", [row("a", 0.1, math.inf, success=0.1), TWO[2]])
    make(tmp_path / "three", "2026-01-21", times(TWO, 0.5))
    make(tmp_path / "gpu", "2026-01-16", times(TWO, 0.1), device="gpu", device_kind="NVIDIA H100")
    figure = history_picture.history_figure(history.read(tmp_path).series())
    figure.canvas.draw()
    return figure


def test_every_panel_shows_its_own_numbers_at_the_time_of_the_run(drawn: Figure) -> None:
    assert [axes.get_title(loc="left") for axes in drawn.axes] == ["all problems together", "a\nat most 0.1",
                                                                   "b\nat most 0.5"]
    days = mdates.date2num([datetime(2026, 1, day, 10, tzinfo=UTC) for day in (1, 11, 21)])
    for axes, wanted in zip(drawn.axes, ([0.6, math.nan, 0.3], [0.4, math.nan, 0.2], [0.9, 0.9, 0.45]), strict=True):
        cpu = axes.containers[0].lines[0]
        assert np.allclose(cpu.get_xdata(), days) and np.allclose(cpu.get_ydata(), wanted, equal_nan=True)
        crosses = [x for line in axes.lines if line.get_marker() == "x" for x in np.atleast_1d(line.get_xdata())]
        assert np.allclose(crosses, days[np.isnan(wanted)])
        low, high = axes.get_ylim()
        assert axes.get_yscale() == "log" and high / low >= history_picture.NARROWEST**2
        assert all(low < value < high for value in wanted if math.isfinite(value))
        assert 2 <= len([tick for tick in axes.get_yticks() if low <= tick <= high]) <= 8
    bars = drawn.axes[1].containers[0].lines[2][0].get_segments()
    assert np.allclose([bars[0][0][1], bars[0][1][1]], [0.36, 0.48])


def test_a_bar_without_an_upper_end_goes_to_the_top_and_is_said(tmp_path: Path) -> None:
    make(tmp_path / "one", "2026-01-01", [row("a", 0.1, 0.4, seconds_solo_high=math.inf)])
    make(tmp_path / "two", "2026-01-11", [row("a", 0.1, 0.5)])
    figure = history_picture.history_figure(history.read(tmp_path).series())
    (axes,) = figure.axes
    tops = [segment[1][1] for segment in axes.containers[0].lines[2][0].get_segments()]
    assert tops[0] > axes.get_ylim()[1] > tops[1] == pytest.approx(0.6)
    assert axes.get_ylim()[1] < 1.0, "the scale is that of the figures"
    [sign] = [line for line in axes.lines if line.get_marker() == CARETUP and len(line.get_xdata())]
    assert sign.get_xdata() == mdates.date2num([datetime(2026, 1, 1, 10, tzinfo=UTC)])
    assert "▴: the bar has no upper end" in figure.texts[-1].get_text()
    make(tmp_path / "other" / "one", "2026-01-01", TWO)
    whole = history_picture.history_figure(history.read(tmp_path / "other").series())
    assert "no upper end" not in whole.texts[-1].get_text()


def test_markers_at_the_ends_of_a_wide_scale_are_whole(tmp_path: Path) -> None:
    make(tmp_path / "slow", "2026-01-01", TWO)
    make(tmp_path / "fast", "2026-01-11", times(TWO, 1e-6))
    figure = history_picture.history_figure(history.read(tmp_path).series())
    figure.canvas.draw()
    for axes in figure.axes:
        points = axes.containers[0].lines[0]
        heights = axes.transData.transform(points.get_xydata())[:, 1]
        half = points.get_markersize() / 2 * figure.dpi / 72
        assert axes.bbox.y0 < heights.min() - half and heights.max() + half < axes.bbox.y1


def test_the_picture_says_what_it_is_without_overlap(drawn: Figure) -> None:
    assert drawn.get_suptitle().startswith("Seconds to target, over time: geometric mean over the problems")
    [legend] = drawn.legends
    assert [text.get_text() for text in legend.get_texts()] == ["quick on cpu: AMD EPYC, 2 cores",
                                                                "quick on gpu: NVIDIA H100"]
    caption = drawn.texts[-1]
    for words in ("median over its starts", "95 % interval", "logarithmic", "lower is better", "×: a problem's"):
        assert words in caption.get_text()
    boxes = [text.get_window_extent() for axes in drawn.axes for text in (axes._left_title, axes.xaxis.label)]
    boxes += [legend.get_window_extent(), caption.get_window_extent()]
    assert not [(one, two) for place, one in enumerate(boxes) for two in boxes[:place] if one.overlaps(two)]
    assert all(drawn.bbox.x0 <= box.x0 and box.x1 <= drawn.bbox.x1 for box in boxes)


def test_many_problems_and_one_problem_are_drawn(tmp_path: Path) -> None:
    make(tmp_path / "many" / "one", "2026-01-01", [row(f"p{number:02}", 0.5, 0.1) for number in range(20)])
    figure = history_picture.history_figure(history.read(tmp_path / "many").series())
    assert len(figure.axes) == 1 + history_picture.MOST
    assert "9 more problems have no panel." in figure.texts[-1].get_text()
    make(tmp_path / "single" / "one", "2026-01-01", [row("p<$x$>", 0.5, 0.1)])
    found = history.read(tmp_path / "single")
    figure = history_picture.history_figure(found.series())
    assert [axes.get_title(loc="left") for axes in figure.axes] == [r"p<\$x\$>" + "\nat most 0.5"]
    paths = history_picture.draw(found, tmp_path / "history")
    assert imread(paths[0]).shape[1] > 1000 and ">p&lt;$x$&gt;" in paths[1].read_text(encoding="utf-8")
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in history_picture.draw(found, tmp_path / "history")] == before
    with pytest.raises(ValueError, match=r"^series: nothing to draw \(got no run with a headline\)\."):
        history_picture.history_figure({})
