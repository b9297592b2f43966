"""Figures of times to a target that the start meets already: 0 steps, which a logarithmic axis has no place for."""

from __future__ import annotations

import numpy as np
import pytest

from bench.analysis.reported import Reported
from bench.analysis.summary import summarise
from bench.report.plots import schedule_looks
from bench.report.plots.parts import Json, Plot
from bench.report.plots.targets import ecdf_plot, target_plot
from bench.tables import load
from tests.bench.report.folders import SMALL, change, met_at_the_start
from tests.bench.synthetic import write_run

STEP_S = 4e-6  # of batch size 1, about


@pytest.fixture(scope="module")
def plots(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plot, Plot]:
    """Time to target and ECDF of a run whose easiest target every start meets."""
    folder = write_run(tmp_path_factory.mktemp("met"), SMALL)
    change(folder, "hits", met_at_the_start)
    tables = load(folder)
    reported = Reported(tables)
    rows = summarise(tables, reported=reported)
    looks, easiest = schedule_looks(rows), float(rows["target"].max())
    return target_plot(rows, easiest, looks, "x"), ecdf_plot(rows, reported, looks, "x")


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
    assert "A target that the start meets already is drawn at one step." in plot.note


def test_the_ecdf_begins_at_half_a_step_with_what_the_start_meets(plots: tuple[Plot, Plot]) -> None:
    plot = plots[1]
    for line in _lines(plot.views["0-1"]):  # steps
        assert np.min(line["x"]) == 0.5  # type: ignore[arg-type]
        assert np.min(line["y"]) == pytest.approx(100 / 3)  # type: ignore[arg-type]  # one target of three, at once
    assert "A target that the start meets already is drawn at half a step." in plot.note
