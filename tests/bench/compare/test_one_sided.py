"""Targets that one side misses, wholly or in some starts: words, gate, page and figures of ratios of 0 and ∞."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from bench.cli import cli
from bench.compare import compare
from bench.compare.figures import speed_figure
from bench.compare.plots import drawn_rows, speed_plots
from bench.compare.words import faster_words, interval_words
from tests.bench.compare import folders

CELL = "p, sgd, batch 32, linear, gap 0.01"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folders.write(tmp_path_factory.mktemp("a") / "whole", 1)


@pytest.fixture(scope="module")
def missing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cell of it never gets to a target."""
    return folders.miss(folders.write(tmp_path_factory.mktemp("b") / "missing", 2), of_cell)


def of_cell(hits: pd.DataFrame) -> pd.Series:
    return (hits["problem"] == "p") & (hits["batch_size"] == 32) & (hits["gap"] == 1e-2)


def gate(a: Path, b: Path, out: Path) -> Result:
    return CliRunner().invoke(cli, ["compare", str(a), str(b), "--out", str(out), "--fail-above", "1.5"])


def cell(out: Path) -> pd.DataFrame:
    """Both quantities of the cell in compare.csv."""
    table = pd.read_csv(out / "compare.csv", keep_default_na=False, na_values={"ratio": [""]})
    return table[(table["problem"] == "p") & (table["batch_size"] == 32) & (table["goal"] == "gap 0.01")]


def speeds(**columns: object) -> pd.DataFrame:
    """Rows of seconds to target as `versus` gives them, at batch sizes 1 and 100 unless told."""
    return pd.DataFrame({"problem": "p", "optimizer": "sgd", "batch_size": [1, 100], "schedule": "linear",
                         "quantity": "seconds_solo", "headline": True, "value_a": 1.0, "value_b": 1.0, "ratio": 1.0,
                         "low": 0.9, "high": 1.1, "verdict": "", "note": ""} | columns)


@pytest.mark.parametrize(("ratio", "words"), [
    ((0.0, 0.0, 0.0), "∞× slower [∞, ∞]"), ((math.inf, math.inf, math.inf), "∞× faster [∞, ∞]"),
    ((0.0, 0.0, 0.5), "∞× slower [2.00, ∞]"), ((math.inf, 2.0, math.inf), "∞× faster [2.00, ∞]"),
    ((0.5, 0.0, 0.8), "2.00× slower [1.25, ∞]"), ((1.5, 1.2, math.inf), "1.50× faster [1.20, ∞]"),
    ((0.5, 0.0, math.inf), "2.00× slower [0.00, ∞]"), ((1.0, 0.0, math.inf), "as fast [0.00, ∞]"),
    ((1.0, 1.0, 1.0), "as fast [1.00, 1.00]"), ((0.5, math.nan, math.nan), "2.00× slower"), ((math.nan,) * 3, "–"),
])
def test_a_ratio_in_words(ratio, words):
    assert faster_words(pd.Series(dict(zip(("ratio", "low", "high"), ratio, strict=True)))) == words


def test_an_interval_in_words():
    assert interval_words(0.0, math.inf) == " [0.00, ∞]"
    assert interval_words(0.004, 1_000.0) == " [<0.01, 1,000]"
    assert interval_words(0.005, 1_001.0) == " [0.01, >1,000]"
    assert interval_words(math.nan, math.nan) == ""


def test_a_target_that_b_never_reaches_fails_the_gate_by_name(whole, missing, tmp_path):
    ended = gate(whole, missing, tmp_path)
    assert ended.exit_code == 6
    said = " ".join(ended.output.split())
    assert "got p sgd batch 32 linear gap 0.01 seconds_solo: ∞× as long, at least ∞×, 1.5× is allowed" in said
    assert f"Only A reaches the target in half of its starts: 1 (cell, target) pair, {CELL}." in said
    assert "∞× slower [∞, ∞]" in (tmp_path / "compare.html").read_text(encoding="utf-8")
    found = cell(tmp_path)
    assert len(found) == 2
    assert (found[["ratio", "low", "high"]].to_numpy(float) == 0).all()


def test_a_target_that_only_b_reaches_passes_the_gate(whole, missing, tmp_path):
    ended = gate(missing, whole, tmp_path)
    assert ended.exit_code == 0
    assert f"Only B reaches the target in half of its starts: 1 (cell, target) pair, {CELL}." in " ".join(
        ended.output.split())
    assert "∞× faster [∞, ∞]" in (tmp_path / "compare.html").read_text(encoding="utf-8")
    assert np.isposinf(cell(tmp_path)[["ratio", "low", "high"]].to_numpy(float)).all()


def test_a_target_that_both_miss_is_a_tie(missing, tmp_path):
    ended = gate(missing, folders.miss(folders.write(tmp_path / "other", 3), of_cell), tmp_path / "out")
    assert ended.exit_code == 0
    assert "∞" not in ended.output and "Only" not in ended.output
    assert (cell(tmp_path / "out")["ratio"].astype(float) == 1).all()


def test_where_b_reaches_nothing_the_picture_of_a_step_is_that_of_a_step(whole, tmp_path):
    lost = folders.miss(folders.write(tmp_path / "lost", 4))
    assert compare(whole, lost, tmp_path / "out").slower_than(1e6)
    pictures = tmp_path / "out" / "figures"
    assert {path.name for path in pictures.iterdir()} == {"speed-up-step.png", "speed-up-step.svg"}
    assert "lane-step, full width" in (pictures / "speed-up-step.svg").read_text(encoding="utf-8")


def test_an_interval_without_an_end_is_drawn_to_an_edge_and_marked():
    cells = speeds(ratio=[0.5, 1.6], low=[0.0, 1.2], high=[0.7, math.inf])
    rows = drawn_rows(cells, "seconds_solo")
    assert rows["bar_low"].tolist() == [0.25, 1.2]
    assert rows["bar_high"].tolist() == [0.7, 3.2]
    panel = speed_figure(cells, "seconds_solo").axes[0]
    low, high = panel.get_ylim()
    assert 0.1 < low < 0.25 and 3.2 < high < 6
    hollow = [line for line in panel.get_lines() if line.get_fillstyle() == "none"]
    ends = {line.get_marker(): line.get_ydata().tolist() for line in hollow}
    assert ends == {"v": [0.25], "^": [3.2]}
    [plot] = speed_plots(cells)
    line, down, up = plot.views["0-0"]["data"]
    np.testing.assert_allclose(line["y"] + line["error_y"]["array"], [0.7, 3.2])
    np.testing.assert_allclose(line["y"] - line["error_y"]["arrayminus"], [0.25, 1.2])
    assert [(trace["marker"]["symbol"], trace["x"].tolist(), trace["y"].tolist()) for trace in (down, up)] == [
        ("triangle-down-open", [1.0], [0.25]), ("triangle-up-open", [100.0], [3.2])]
    assert "∞" in up["text"][0]


def test_cells_that_one_side_misses_have_no_place_in_a_figure():
    cells = speeds(ratio=[1.0, 0.0], low=[0.9, 0.0], high=[1.1, 0.0], value_b=[1.0, math.inf])
    assert drawn_rows(cells, "seconds_solo")["batch_size"].tolist() == [1]
    assert speed_plots(cells.tail(1)) == []


def test_each_optimizer_has_a_line_of_its_own():
    cells = pd.concat([speeds(optimizer="sgd"), speeds(optimizer="adam", ratio=1.05),
                       speeds(optimizer="sgd", schedule="inverse_time")])
    names = ["adam, linear", "sgd, inverse time", "sgd, linear"]
    panel = speed_figure(cells, "seconds_solo").axes[0]
    assert panel.get_legend_handles_labels()[1] == names
    drawn = [line.get_xdata() for line in panel.get_lines() if line.get_marker() in "os^" and len(line.get_xdata())]
    assert len(drawn) == 3
    assert all((np.diff(x) > 0).all() for x in drawn)
    [plot] = speed_plots(cells)
    assert [trace["name"] for trace in plot.views["0-0"]["data"]] == names
    step = speeds(schedule="", quantity="step_s_solo")
    assert speed_plots(step)[0].views["0-0"]["data"][0]["name"] == "every schedule"


def test_a_problem_is_called_by_its_name_in_the_selector():
    [plot] = speed_plots(speeds(problem="a<b & c"))
    assert plot.selectors[0].options == ["a<b & c"]  # the template escapes


def test_a_legend_of_many_lines_stays_in_the_picture():
    cells = pd.concat([speeds(optimizer=optimizer, schedule=f"a_schedule_with_a_long_name_{place}")
                       for optimizer in ("sgd", "momentum", "adam") for place in range(9)])
    figure = speed_figure(cells, "seconds_solo")
    figure.draw_without_rendering()
    [legend], axes = figure.legends, figure.axes[0]
    box, page = legend.get_window_extent(), figure.bbox
    assert box.x0 >= axes.get_window_extent().x1
    assert box.y0 >= page.y0 and box.x1 <= page.x1
