"""Figures of times that a logarithmic axis has no place for: 0 steps, less than one, intervals without an end."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from bench.analysis.ecdf import ecdf_table
from bench.analysis.reported import Reported
from bench.analysis.summary import summarise
from bench.report.plots import schedule_looks
from bench.report.plots.parts import Json, Plot
from bench.report.plots.targets import ecdf_plot, target_plot
from bench.report.scaling import met_words, seconds_figure, steps_figure
from bench.tables import load
from tests.bench.report.folders import SMALL, change, met_at_the_start
from tests.bench.synthetic import write_run

STEP_S = 4e-6  # of batch size 1, about
STYLE = {"constant": ("#000000", "o")}


@pytest.fixture(scope="module")
def plots(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plot, Plot]:
    """Time to target and ECDF of a run whose easiest target every start meets."""
    folder = write_run(tmp_path_factory.mktemp("met"), SMALL)
    change(folder, "hits", met_at_the_start)
    tables = load(folder)
    reported = Reported(tables)
    rows = summarise(tables, reported=reported)
    looks, easiest = schedule_looks(rows), float(rows["target"].max())
    return target_plot(rows, easiest, looks, "x"), ecdf_plot(rows, ecdf_table(reported, rows), looks, "x")


def _lines(view: Json) -> list[Json]:
    lines = view["data"]
    assert isinstance(lines, list) and lines
    return lines


def test_the_median_is_drawn_at_one_step_and_told_as_it_is(plots: tuple[Plot, Plot]) -> None:
    plot = plots[0]
    for place, floor in ((0, STEP_S), (2, 1.0), (3, 1.0)):  # seconds of one training, steps, examples
        for line in _lines(plot.views[f"0-{place}"]):
            assert line["y"] == pytest.approx(np.full(3, floor), rel=0.1)
            bars = line["error_y"]
            assert isinstance(bars, dict) and not np.any([bars["array"], bars["arrayminus"]])
    assert all("<br>0 s [0, 0]<br>" in words for line in _lines(plot.views["0-0"]) for words in line["text"])  # type: ignore[attr-defined]
    assert "The start, before any step, is drawn at the bottom." in plot.note


def test_the_ecdf_begins_at_half_a_step_with_what_the_start_meets(plots: tuple[Plot, Plot]) -> None:
    plot = plots[1]
    for line in _lines(plot.views["0-1"]):  # steps
        assert np.min(line["x"]) == 0.5  # type: ignore[arg-type]
        assert np.min(line["y"]) == pytest.approx(100 / 3)  # type: ignore[arg-type]  # one target of three, at once
    assert "The start, before any step, is drawn at the left end." in plot.note


def _cells(median: list[float], low: list[float], high: list[float]) -> pd.DataFrame:
    """Summary rows of one target and one schedule at batch sizes 1, 2, 4, …, of steps that take 2 s."""
    rows = pd.DataFrame({"schedule": "constant", "batch_size": 2.0 ** np.arange(len(median)), "problem_examples": 100,
                         "target": 0.1, "target_on": "loss", "gap": 0.1, "hits": 4, "lanes": 4, "rate": 0.1})
    for unit, scale in (("steps", 1), ("seconds_solo", 2)):
        for part, values in (("median", median), ("low", low), ("high", high)):
            rows[f"{unit}_{part}"] = scale * np.array(values)
    return rows.assign(step_s_solo=2.0, step_s_batched=math.nan)


@pytest.mark.parametrize("missed", [False, True])
def test_an_interval_without_an_upper_end_goes_through_a_strip_that_says_so(missed: bool) -> None:
    end = [math.inf if missed else 9.0] * 3
    plot = target_plot(_cells([5.0, 6.0, end[0]], [4.0, 5.0, end[1]], [7.0, math.inf, end[2]]), 0.1, STYLE, "x")
    for place, scale in ((0, 2), (1, 1)):  # seconds of one training, steps
        view = plot.views[f"0-{place}"]
        told, [strip], [words] = view["layout"], view["layout"]["shapes"], view["layout"]["annotations"]  # type: ignore[index]
        ends = np.array(view["data"][0]["y"]) + view["data"][0]["error_y"]["array"]  # type: ignore[index]
        assert ends[0] == 7 * scale < strip["y0"] and ends[1] == strip["y1"]
        low, high = np.power(10, told["yaxis"]["range"])  # type: ignore[index]
        assert low < 4 * scale and high == pytest.approx(strip["y1"])  # no cap inside: it is at the edge
        assert words["text"] == ("missed by more than half of the starts" if missed else "no upper end")
    assert "a bar into it has no upper end" in plot.note


def test_what_takes_less_than_a_step_is_drawn_where_it_is() -> None:
    """Interpolated between the start and the first mark; 0 is at the least that is above it."""
    rows = _cells([0.8, 0.1, 0.0, 3.0], [0.5, 0.05, 0.0, 0.0], [1.5, 0.2, 0.0, 4.0])
    drawn = np.array([0.8, 0.1, 0.05, 3.0])
    plot = target_plot(rows, 0.1, STYLE, "x")
    for place, scale in ((0, 2), (1, 1)):
        [line] = _lines(plot.views[f"0-{place}"])
        assert line["y"] == pytest.approx(scale * drawn)
        assert drawn - line["error_y"]["arrayminus"] / scale == pytest.approx([0.5, 0.05, 0.05, 0.05])  # type: ignore[index]
    for figure, scale in ((steps_figure(rows, "p", STYLE), 1), (seconds_figure(rows, "p", STYLE), 2)):
        assert figure is not None
        [axes] = figure.axes
        assert axes.lines[0].get_ydata() == pytest.approx(scale * drawn)
        assert axes.get_ylim()[0] < 0.05 * scale
    assert met_words(rows, "bottom") in plot.note and "drawn at the bottom" in met_words(rows, "bottom")
    assert met_words(rows.iloc[:2], "bottom") == ""
