"""Figures of shares: the page and the pictures draw the numbers of the tables that lie beside the report."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.analysis.answer import headline_target
from bench.analysis.reported import Reported
from bench.analysis.scaling import COLUMNS
from bench.analysis.shares import Shares, tuned_at
from bench.analysis.summary import summarise
from bench.report.divergence import divergence_figure
from bench.report.ecdf import ecdf_figure
from bench.report.plots import across_plots, problem_plots, schedule_looks
from bench.report.plots.parts import Plot
from bench.report.profile import MOST, profile_figure
from bench.tables import load
from tests.bench.report.folders import SMALL
from tests.bench.synthetic import write_run


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, Shares, dict[str, Plot]]:
    """Summary, tables and interactive figures of a small run."""
    tables = load(write_run(tmp_path_factory.mktemp("shares"), SMALL))
    reported = Reported(tables)
    rows = summarise(tables, reported=reported)
    shares = Shares.of(tables, reported, rows, rows)
    [plots] = problem_plots(tables, reported, rows, pd.DataFrame(columns=COLUMNS), {}, shares).values()
    plots += across_plots(shares.profile, schedule_looks(rows), several=False)
    return rows, shares, {plot.table + plot.identity.split("-")[-1]: plot for plot in plots}


def _trace(plot: Plot, view: str, name: str) -> dict[str, Any]:
    data = plot.views[view]["data"]
    return next(trace for trace in data if trace["name"] == name)  # type: ignore[attr-defined]


def _same(trace: dict[str, Any], rows: pd.DataFrame, x: str, y: str) -> None:
    assert len(rows) > 1
    assert np.asarray(trace["x"]) == pytest.approx(rows[x].to_numpy(float))
    assert np.asarray(trace["y"]) == pytest.approx(100 * rows[y].to_numpy(float))


def test_the_page_draws_the_numbers_of_the_tables(drawn: tuple[pd.DataFrame, Shares, dict[str, Plot]]) -> None:
    rows, shares, plots = drawn
    at_32 = shares.ecdf[(shares.ecdf["batch_size"] == 32) & (shares.ecdf["schedule"] == "linear")]
    trace = _trace(plots["ecdf.csvecdf"], "2-2", "batch 32")  # linear, in examples
    _same(trace, at_32, "examples", "share")
    assert np.array(trace["band"]) == pytest.approx(100 * at_32[["share_low", "share_high"]].to_numpy().T)
    waiting = shares.waiting[shares.waiting["batch_size"] == 32]
    trace = _trace(plots["waiting.csvwaiting"], "0", f"32: {waiting['schedule'].iloc[0]}")
    _same({"x": trace["x"][1:], "y": trace["y"][1:]}, waiting.iloc[1:], "seconds_solo", "waiting")
    assert 0 < trace["x"][0] < waiting["seconds_solo"].iloc[1]  # the start, which a logarithmic axis has no place for
    best = shares.profile[(shares.profile["solver"] == "linear") & (shares.profile["unit"] == "examples")]
    _same(_trace(plots["profile.csvprofile"], "0-1", "linear"), best, "factor", "share")
    size = int(str(plots["rates.csvrates"].selectors[0].options[0]))
    tuned = tuned_at(shares.rates, rows, headline_target(rows))
    tuned = tuned[(tuned["batch_size"] == size) & (tuned["schedule"] == "linear")]
    _same(_trace(plots["rates.csvrates"], "0-2", "linear"), tuned, "rate", "diverged_share")


def test_the_picture_of_the_ecdf(drawn: tuple[pd.DataFrame, Shares, dict[str, Plot]]) -> None:
    rows, shares, _ = drawn
    figure = ecdf_figure(rows, shares.ecdf, "p", schedule_looks(rows))
    assert figure is not None
    left, right = figure.axes
    assert [line.get_label() for line in left.lines] == [f"{size}: linear" for size in (1, 32, 128)]
    assert [line.get_label() for line in right.lines] == ["constant", "linear"]
    at_32 = shares.ecdf[(shares.ecdf["batch_size"] == 32) & (shares.ecdf["schedule"] == "linear")]
    assert left.lines[1].get_xydata() == pytest.approx(at_32[["seconds_solo", "share"]].to_numpy() * [1, 100])
    assert left.get_xlabel() == "seconds, one training"
    untimed = shares.ecdf.assign(seconds_solo=shares.ecdf["seconds_solo"].where(shares.ecdf["batch_size"] > 1))
    figure = ecdf_figure(rows, untimed, "p", schedule_looks(rows))
    assert figure is not None and figure.axes[0].get_xlabel() == "examples seen"
    assert ecdf_figure(rows, untimed.iloc[:0], "p", schedule_looks(rows)) is None


def test_the_picture_of_profiles(drawn: tuple[pd.DataFrame, Shares, dict[str, Plot]]) -> None:
    profiles = drawn[1].profile
    many = [profiles.assign(solvers="schedule", solver=f"s{place:02d}", share=place / 100) for place in range(MOST + 3)]
    left, right = profile_figure(pd.concat([profiles[profiles["solvers"] == "batch_size"], *many]), several=False).axes
    assert [line.get_label() for line in left.lines] == [f"s{place:02d}" for place in range(3, MOST + 3)]
    assert [line.get_label() for line in right.lines] == ["batch 1", "batch 32", "batch 128"]
    first = profiles[(profiles["solver"] == "1") & (profiles["unit"] == "seconds_solo")]
    assert right.lines[0].get_xydata() == pytest.approx(first[["factor", "share"]].to_numpy() * [1, 100])


def test_the_map_of_divergence() -> None:
    """Rates 0.1, 1 and 10 at one batch size, 1 alone at the other: fields reach half-way to their neighbours."""
    rates = pd.DataFrame({"schedule": "constant", "batch_size": [8, 8, 8, 64], "rate": [0.1, 1.0, 10.0, 1.0],
                          "diverged_share": [0.0, 0.125, 1.0, 0.5]})
    axes, bar = divergence_figure(rates, 64, "p").axes
    assert [text.get_text() for text in axes.texts] == ["0", "12", "100", "50"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["8", "all (64)"]
    ends = [path.vertices[:4, 0] for path in axes.collections[0].get_paths()]
    assert np.array(ends)[:, :2] == pytest.approx(np.array([[10**-1.5, 10**-0.5], [10**-0.5, 10**0.5],
                                                            [10**0.5, 10**1.5]]))
    assert "(%)" in bar.get_ylabel() and axes.get_xlim() == pytest.approx((10**-1.5, 10**1.5))
