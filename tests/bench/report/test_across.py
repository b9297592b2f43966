"""The performance profile: lines that can be told apart, and as many cases as it says."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from bench.analysis.profile import profile_tables
from bench.analysis.reported import Reported
from bench.analysis.summary import several_optimizers, summarise
from bench.report.plots import across_plots, schedule_looks
from bench.report.plots.parts import Json, dashed_looks
from bench.report.style import looks
from bench.tables import load
from tests.bench import synthetic
from tests.bench.report.folders import SMALL, add_optimizer, change
from tests.bench.synthetic import Plan, write_run

MANY = [f"schedule_{letter}" for letter in "abcdefghij"]


def _views(folder: Path) -> dict[str, Json]:
    """"schedules or batch sizes"-"seconds or examples" -> its view."""
    tables = load(folder)
    reported = Reported(tables)
    summary = summarise(tables, reported=reported)
    several = several_optimizers(tables)
    (plot,) = across_plots(profile_tables(reported, summary), schedule_looks(summary), several=several)
    return dict(plot.views)


def _title(view: Json) -> str:
    return str(view["layout"]["yaxis"]["title"]["text"])  # type: ignore[index]


def test_ten_schedules_have_ten_looks_without_markers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLOORS", "SPEEDS"):
        monkeypatch.setattr(synthetic, name, {schedule: 0.5 for schedule in MANY})
    plan = Plan(batch_sizes=(32,), schedules=MANY, rates=(0.3, 1.0), starts=2, tuning_starts=2, marks=8)
    lines = _views(write_run(tmp_path, plan))["0-0"]["data"]
    assert isinstance(lines, list) and len(lines) == len(MANY)
    assert len({(line["line"]["color"], line["line"]["dash"]) for line in lines}) == len(MANY)


def test_a_schedule_has_the_colour_that_it_has_in_other_figures() -> None:
    assert {name: look[:2] for name, look in dashed_looks(MANY).items()} == looks(MANY)


def test_up_to_42_lines_differ_without_markers() -> None:
    assert len({(colour, dash) for colour, _, dash in dashed_looks(range(42)).values()}) == 42


def test_only_the_cases_that_are_shown_are_counted(tmp_path: Path) -> None:
    """Of two problems one was not timed: in seconds the shares are of three (problem, target) pairs, not of six."""
    plan = Plan(problems=("timed", "not"), batch_sizes=(1, 32), schedules=("constant", "linear"), rates=(0.3, 1.0),
                starts=4, tuning_starts=2, untimed=("not",))
    views = _views(write_run(tmp_path, plan))
    assert {key: _title(view) for key, view in views.items()} == {
        key: f"done, of {count} (problem, target) cases (%)" for key, count in zip(views, (3, 6, 3, 6), strict=True)}


def test_the_full_batch_and_a_batch_size_of_one_problem_are_named_and_counted(tmp_path: Path) -> None:
    plan = Plan(problems=("a", "b"), batch_sizes=(1, 32, 1797), schedules=("linear",), rates=(0.3, 1.0), starts=4,
                tuning_starts=2)
    folder = write_run(tmp_path, plan)

    def only_in_a(rows: pd.DataFrame) -> pd.DataFrame:
        return rows[(rows["problem"] == "a") | (rows["batch_size"] != 32)]

    for table in ("lanes", "hits", "chosen"):
        change(folder, table, only_in_a)
    view = _views(folder)["1-1"]
    lines = view["data"]
    assert isinstance(lines, list)
    assert [line["name"] for line in lines] == ["batch 1", "batch 32", "all examples"]
    assert ["% of 6 within" in line["hovertemplate"] for line in lines] == [True, False, True]
    assert _title(view) == "done, of 3 to 6 (problem, target) cases (%)"


def test_cases_of_several_optimizers_are_no_pairs(tmp_path: Path) -> None:
    add_optimizer(write_run(tmp_path, SMALL), "adam")
    assert _title(_views(tmp_path)["0-0"]) == "done, of 6 (problem, optimizer, target) cases (%)"
