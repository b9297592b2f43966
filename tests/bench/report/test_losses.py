"""Figures of losses: below zero, with starts that diverged, with cells that missed, diverged or were not timed."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from bench.analysis.goals import Goal
from bench.analysis.words import together
from bench.report.curves import curve_axis, curves_figure, drawn_curve
from bench.report.grids import loss_figure
from bench.report.plots.losses import heat_plot
from bench.report.report import write_report
from bench.report.style import looks
from tests.bench.report.folders import write_utility

EPOCHS = [0.0, 0.1, 1.0, 10.0]


def _curve(median: list[float], high: list[float] | None = None) -> pd.DataFrame:
    return pd.DataFrame({"step": EPOCHS, "epochs": EPOCHS, "low": [value - 1e-9 for value in median], "median": median,
                         "high": median if high is None else high})


def _figure(curve: pd.DataFrame, targets: list[float], optimum: float) -> Figure:
    row = pd.Series({"batch_size": 32, "schedule": "constant", "problem_examples": 100})
    return curves_figure([(row, curve)], [(row, curve)], "p", [(each, str(each)) for each in targets], optimum,
                         looks(["constant"]), Goal(math.nan))


def _cells(**columns: object) -> pd.DataFrame:
    """Summary rows of one target: batch sizes 1 and 32, schedules constant and linear."""
    rows = pd.DataFrame({"schedule": ["constant", "constant", "linear", "linear"], "batch_size": [1, 32, 1, 32],
                         "problem_examples": 100, "hits": 4, "lanes": 4, "diverged": 0, "rate": 0.1,
                         "success_rate": 1.0, "final_gap_median": [0.1, 0.2, 0.3, 0.4], "final_loss_median": 1.0,
                         "steps_median": [10.0, 20.0, 30.0, 40.0], "seconds_solo_median": [1.0, 2.0, 3.0, 4.0]})
    return rows.assign(**columns)  # type: ignore[arg-type]


def _view(rows: pd.DataFrame, measure: str) -> tuple[list[list[str]], np.ndarray, np.ndarray]:
    """Words, shades and the ends of the colours of a heat map, (schedules, batch sizes)."""
    plot = heat_plot(rows, "x")
    place = next(at for at, name in enumerate(plot.selectors[0].options) if name.startswith(measure))
    view = json.loads(json.dumps(plot.views[str(place)], default=lambda value: np.asarray(value).tolist()))
    words = np.empty((2, 2), object)
    for note in view["layout"]["annotations"]:
        words[note["y"], note["x"]] = note["text"]
    heat = view["data"][1]
    return words.tolist(), np.array(heat["z"], float), np.array([heat["zmin"], heat["zmax"]])


def test_losses_below_zero_are_drawn_on_a_linear_axis() -> None:
    figure = _figure(_curve([-3.0, -4.0, -4.9, -4.99]), [-4.98, -4.998], math.nan)
    for axes in figure.axes:
        assert axes.get_yscale() == "linear"
        low, high = axes.get_ylim()
        assert low < -4.998 and -4.0 < high < -3.0  # and no band up to 1
    labels = [note.get_position()[0] for note in figure.axes[0].texts]
    assert labels == [0.01, 0.5]  # two targets that are near: side by side


def test_positive_losses_stay_on_a_logarithmic_one_also_where_the_optimum_is_met() -> None:
    curve = _curve([1.0, 0.5, 0.2, 0.1])
    assert curve_axis([drawn_curve(curve, 0.0)], [0.2, 0.15], math.nan) == (True, [0, 0])
    assert curve_axis([drawn_curve(curve, 0.1)], [0.1], 0.1)[0]
    assert not curve_axis([drawn_curve(curve, 0.1)], [0.1], math.nan)[0]


def test_a_band_without_an_end_goes_no_farther_up_than_the_losses_seen() -> None:
    """Small losses, over a tenth of the starts diverged: the band ended at 1, a thousand times above the curve."""
    curve = _curve([1e-3, 8e-4, 1e-4, 1e-6], [1e-3, math.inf, math.inf, math.inf])
    for axes in _figure(curve, [1e-5], 0.0).axes:
        assert 8e-4 < axes.get_ylim()[1] < 2e-3
    assert drawn_curve(curve, 0.0).high.max() == 8e-4


def test_what_was_not_measured_missed_or_diverged_is_told_apart() -> None:
    rows = _cells(seconds_solo_median=[1.0, math.nan, math.inf, 4.0], steps_median=[356.4, 1.0, math.inf, 4254.2],
                  final_gap_median=[0.1, math.inf, 0.3, math.nan], success_rate=[1.0, 0.5, 0.0, math.nan])
    assert _view(rows, "seconds")[0] == [["1 s", "–"], ["missed", "4 s"]]
    assert _view(rows, "steps")[0] == [["356", "1"], ["missed", "4,254"]]
    assert _view(rows, "final")[0] == [["0.1", "diverged"], ["0.3", "–"]]
    assert _view(rows, "starts")[0] == [["100", "50"], ["0", "–"]]


def test_a_target_that_the_start_meets_is_shaded_as_the_best() -> None:
    words, shade, ends = _view(_cells(seconds_solo_median=[0.0, 2.0, 3.0, 4.0]), "seconds")
    assert words[0][0] == "0 s"
    assert shade[0, 0] == shade[0, 1] == ends[0]
    _, shade, ends = _view(_cells(seconds_solo_median=0.0), "seconds")
    assert (shade == ends[0]).all() and ends[0] < ends[1]  # all light, not the grey between


def test_final_losses_below_zero_are_shaded_and_told_apart() -> None:
    rows = _cells(final_gap_median=math.nan, final_loss_median=[-4.9964, -4.993, -4.98, math.inf])
    words, shade, ends = _view(rows, "final")
    assert words == [["-4.996", "-4.993"], ["-4.98", "diverged"]]
    assert shade.ravel()[:3].tolist() == [-4.9964, -4.993, -4.98] and math.isnan(shade[1, 1])
    assert ends.tolist() == [-4.9964, -4.98]


@pytest.mark.parametrize(("losses", "bars"), [([0.1, 0.2, 0.3, 0.4], 1), ([0.1, 0.1, math.inf, math.nan], 0)])
def test_a_map_of_one_value_has_no_scale_of_colours(losses: list[float], bars: int) -> None:
    figure = loss_figure(_cells(target=0.1, target_on="loss", gap=0.1, final_gap_median=losses), "p")
    assert [axes.get_ylabel() for axes in figure.axes[1:]] == ["loss above the optimum"] * bars


def test_the_report_of_a_utility_shows_its_losses(tmp_path: Path) -> None:
    write_report(write_utility(tmp_path))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    found = re.search(r'id="figures">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    figures = json.loads(found[1])
    for view in figures["plot-1-curves"]["views"].values():
        assert view["layout"]["yaxis"]["type"] == "linear"
        assert min(view["data"][0]["y"]) < -4.5
    rates = {view["layout"]["yaxis"]["title"]["text"]: view["layout"]["yaxis"]["type"]
             for view in figures["plot-1-rates"]["views"].values()}
    assert rates["median final loss"] == "linear" and rates["expected steps to target (ERT)"] == "log"
    rows = [line.split("|") for line in (tmp_path / "report.md").read_text(encoding="utf-8").splitlines()
            if re.match(r"\| \d+ \| (constant|linear) \| \S+ .*of 8", line)]
    told = {row[10].strip() for row in rows}
    assert len(rows) == len(told) == 6
    assert all(re.fullmatch(r"-4\.\d{3,} \[-4\.\d{3,}, (-4\.\d{3,}|∞)\]", words) for words in told), told


def test_numbers_together_show_two_digits_of_their_width() -> None:
    assert together([-4.9964, -4.9971, math.inf, math.nan]) == ["-4.9964", "-4.9971", "∞", "–"]
    assert together([2300.04, 2300.51], 7) == ["2,300.04", "2,300.51"]
    assert together([0.0, 0.0]) == ["0", "0"] and together([]) == []


@pytest.mark.parametrize("high", [[1.0, math.inf, math.inf, math.inf], [1.0, 0.5, 0.2, 0.1]])
def test_a_curve_without_a_mark_after_the_start_is_empty(high: list[float]) -> None:
    assert len(drawn_curve(_curve([1.0, 0.5, 0.2, 0.1], high).iloc[:1], 0.0).epochs) == 0
