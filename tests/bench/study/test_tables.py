"""Rows hold all that an outcome says; pictures leave out only what an axis can't show; words keep the figures."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.legend import Legend

import bench
from bench import store
from bench.cells import claim_group
from bench.report.style import COLOURS, INK
from bench.study.claim import Claim, Finding, Outcome, Picture, Series
from bench.study.figures import picture_figure
from bench.study.lines import note_of, panel_of
from bench.study.plots import picture_plot
from bench.study.tables import frames_of, outcomes_of
from bench.study.words import expected_words, figure_words, ratio_words
from tests.bench.study.fake_claims import claims

FRAMES = {"x": [1.0, 10.0], "y": [2.0, 1.0]}


def test_an_outcome_comes_back_from_a_run_folder_as_it_was(tmp_path):
    (tmp_path / "run.json").write_text('{"schema": 1, "config": {}, "cells": []}')
    for claim in (claims()["edge"], claims()["evil"]):
        store.write_group(tmp_path, claim_group(claim.name), frames_of(claim, claim.run(7), 1.5, 2.5))
    tables = bench.load(tmp_path)
    assert list(tables.claims["cpu_seconds"]) == [2.5, 2.5]
    assert len(tables.lanes) == len(tables.hits) == 0
    found = outcomes_of(tables)
    assert list(found) == ["edge", "evil"]  # by number
    for name, outcome in found.items():
        then = claims()[name].run(7)
        assert (outcome.verdict, outcome.sentence) == (then.verdict, then.sentence)
        pd.testing.assert_frame_equal(pd.DataFrame(list(outcome.findings)), pd.DataFrame(list(then.findings)))
        assert list(outcome.pictures) == list(then.pictures)
    assert not {path.suffix for path in (tmp_path / "parts").rglob("*")} & {".tmp"}


@pytest.mark.parametrize("series", [Series("s", [], []), Series("s", [1.0], [1.0, 2.0]),
                                    Series("s", [1.0, 2.0], [1.0, 2.0], low=[1.0], high=[1.0, 2.0])])
def test_a_line_of_unequal_lengths_is_refused_with_its_name(series):
    outcome = Outcome("holds", "s", [], [Picture("title", "x", "y", [series])])
    with pytest.raises(ValueError, match="series 's' of 'title': x, y, low and high must be of one length"):
        frames_of(Claim(1, "c", "s", "m", lambda seed: outcome), outcome, 0.0, 0.0)


def test_a_logarithmic_axis_leaves_out_what_it_cannot_show_and_says_how_much():
    series = Series("s", [0.0, 1.0, 2.0, 3.0], [1.0, 0.0, math.inf, 4.0], [1.0, 0.0, 1.0, -1.0], [1.0, 1.0, 1.0, 5.0])
    panel = panel_of(Picture("t", "x", "y", [series]))
    (line,) = panel.lines
    assert (list(line.x), list(line.y)) == ([3.0], [4.0])
    assert list(line.low) == [1.0]  # an interval that reaches below zero ends at the smallest figure shown
    assert panel.left_out == 3 and "3 of the points" in note_of(panel)
    linear = panel_of(Picture("t", "x", "y", [series], x_log=False, y_log=False))
    assert list(linear.lines[0].low) == [1.0, 0.0, -1.0] and linear.left_out == 1


@pytest.mark.parametrize(("log", "edge"), [(True, 10.0), (False, 6.0)])  # twice the greatest; a quarter of the span on
@pytest.mark.parametrize("joined", [True, False])
def test_an_interval_without_an_upper_end_goes_to_the_edge_and_has_a_triangle_there(log, edge, joined):
    series = Series("s", [1.0, 2.0], [3.0, 4.0], [1.0, 3.0], [math.inf, 5.0], line=joined)
    picture = Picture("t", "x", "y", [series], x_log=log, y_log=log)
    (line,) = panel_of(picture).lines
    assert line.high.tolist() == [edge, 5.0] and line.endless.tolist() == [True, False]
    figure = picture_figure(picture)
    figure.canvas.draw()
    (axes,) = figure.axes
    assert next(each.get_xydata().tolist() for each in axes.lines if each.get_marker() == "^") == [[1.0, edge]]
    assert axes.get_ylim()[1] > edge
    [legend] = [each for each in axes.get_children() if isinstance(each, Legend)]
    assert [each.get_text() for each in legend.get_texts()] == ["s", "interval without an end"]
    assert legend.get_window_extent().x1 <= figure.bbox.x1
    drawn = picture_plot(picture, "p")
    assert "a hollow triangle where one has no end" in drawn.note
    assert [list(each["y"]) for each in drawn.views[""]["data"]] == [[3.0, 4.0], [edge]]
    assert "end" not in note_of(panel_of(Picture("t", "x", "y", [Series("s", [1.0], [3.0], [1.0], [5.0])])))


def test_an_axis_without_a_positive_point_is_linear():
    panel = panel_of(Picture("t", "x", "y", [Series("s", [-1.0, 0.0], [0.0, 0.0])]))
    assert (panel.x_log, panel.y_log, panel.left_out) == (False, False, 0)


def test_theory_has_the_colour_of_what_it_is_compared_with_or_ink():
    measured, theory = [[Series(name, **FRAMES, theory=flag) for name in "ab"] for flag in (False, True)]
    pairs = panel_of(Picture("t", "x", "y", [*measured, *theory])).lines
    assert [line.colour for line in pairs] == [*COLOURS[:2], *COLOURS[:2]]
    alone = panel_of(Picture("t", "x", "y", [*measured, theory[0]])).lines
    assert alone[-1].colour == INK


@pytest.mark.parametrize(("finding", "words"), [
    (Finding("q", 0.49981, 0.49952, 0.50013), "0.49981 [0.49952, 0.50013]"),
    (Finding("q", 3.0, 3.0, 3.0), "3"),
    (Finding("q", 1.0, 0.9999999, 1.0000001), "1 [1, 1]"),
    (Finding("q", -0.9982, -1.0031, -0.9931), "-0.998 [-1.003, -0.993]"),
    (Finding("q", 1.001595, 1.001594, 1.001596), "1.0016 [1.0016, 1.0016]"),
    (Finding("q", 4.5e-8, 3.63e-8, 6.33e-8), "4.5e-08 [3.63e-08, 6.33e-08]"),
    (Finding("q", 0.0, 0.0, 0.0148, "share"), "0 % [0, 1.48]"),
    (Finding("q", 100_500.4, 100_400.0, 100_600.0, "steps"), "100,500 steps [100,400, 100,600]"),
    (Finding("q", 3.14159), "3.14"),
    (Finding("q", math.inf, 7.0, math.inf, "steps"), "∞ steps [7, ∞]"),
    (Finding("q", 0.5, 0.25, 0.75, "share"), "50 % [25, 75]"),
    (Finding("q", 0.002, 0.0019, 0.0021, "seconds"), "2 ms [1.9, 2.1]"),
    (Finding("q", 12_345.6, 12_000.0, 13_000.0, "×"), "12,346× [12,000, 13,000]"),
    (Finding("q", math.nan), "–"),
])
def test_a_finding_in_words(finding, words):
    assert figure_words(finding) == words


def test_a_ratio_to_theory_needs_one():
    assert ratio_words(Finding("q", 2.0, expected=4.0)) == "0.5×"
    assert ratio_words(Finding("q", 2.0, expected=0.0)) == ratio_words(Finding("q", 2.0)) == ""
    assert expected_words(Finding("q", 2.0, expected=0.0)) == "0"
    assert ratio_words(Finding("q", np.nan, expected=1.0)) == ""
