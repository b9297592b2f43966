"""The picture of several problems: which target, what is drawn where, and no picture where there is one problem."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from bench.report.critical_across import critical_across_figure
from bench.report.style import looks

LOOKS = looks(["constant", "linear"])


def fits(problem: str, target: float, schedule: str, b_crit: float, high: float = math.nan) -> dict[str, object]:
    return {"problem": problem, "optimizer": "sgd", "device": "cpu", "target": target, "gap": math.nan,
            "schedule": schedule, "b_crit": b_crit, "b_crit_low": b_crit / 2, "b_crit_high": high or 2 * b_crit,
            "fastest_batch": 32.0, "b_simple_target": 100.0, "b_simple_target_low": 80.0, "b_simple_target_high": 150.0}


def table(*problems: str) -> pd.DataFrame:
    rows = [fits(problem, *each) for problem in problems for each in (
        (0.5, "constant", 20.0, 40.0), (0.5, "linear", 10.0, 20.0), (0.2, "constant", 60.0, 120.0),
        (0.2, "linear", 30.0, math.inf), (0.1, "constant", math.nan, math.nan), (0.1, "linear", 5.0, 9.0))]
    return pd.DataFrame(rows)


def test_each_problem_has_a_panel_at_its_hardest_target_with_the_most_fits() -> None:
    figure = critical_across_figure(table("first", "second"), LOOKS)
    assert figure is not None
    assert [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes] == [
        "first (sgd)\nloss at most 0.2", "second (sgd)\nloss at most 0.2"]
    places = {tuple(np.ravel(line.get_data()).tolist()) for line in figure.axes[0].lines}
    assert {(60.0, 1.0), (30.0, 0.0), (32.0, 1.0), (32.0, 0.0)} <= places  # critical sizes, and the fastest batch
    assert [line.get_marker() for line in figure.axes[0].lines].count(">") == 1  # the interval without an end


def test_the_noise_scale_is_a_band_and_is_left_out_where_it_is_not_known() -> None:
    scaling = table("first", "second")
    scaling.loc[scaling["problem"] == "second", "b_simple_target_high"] = math.inf
    figure = critical_across_figure(scaling, LOOKS)
    assert figure is not None
    first, second = figure.axes
    (band,) = first.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == (80.0, 150.0)
    assert not second.patches


@pytest.mark.parametrize("problems", [2, 3])
def test_the_legend_is_within_the_figure_and_explains_only_what_is_drawn(problems: int) -> None:
    scaling = table(*[f"problem {place}" for place in range(problems)])
    for rows, entries in ((scaling, 3), (scaling.assign(b_simple_target_low=math.nan), 2)):
        figure = critical_across_figure(rows, LOOKS)
        assert figure is not None
        (legend,) = figure.legends
        assert len(legend.get_texts()) == entries
        box, whole = legend.get_window_extent(), figure.bbox
        assert whole.x0 <= box.x0 and box.x1 <= whole.x1
        assert box.y1 <= min(axes.get_tightbbox().y0 for axes in figure.axes)


def test_one_problem_or_none_has_no_such_picture() -> None:
    assert critical_across_figure(table("first"), LOOKS) is None
    assert critical_across_figure(table("first", "second").assign(b_crit=math.nan), LOOKS) is None
