"""`python -m bench history`: which runs it finds, what their headline is, which of them share a line, what is drawn."""

from __future__ import annotations

import io
import json
import math
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import matplotlib.dates as mdates
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.markers import CARETDOWN
from rich.console import Console

from bench import cli as command_line
from bench import history, history_picture
from bench.analysis.intervals import Estimate
from bench.history import Entry, Winner, winners_of
from bench.store import FolderError

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "results" / "reference" / "quick-cpu"


def call(*arguments: str) -> tuple[int, str]:
    """Exit code, and stdout and stderr together."""
    done = CliRunner(env={"COLUMNS": "200"}).invoke(command_line.cli, ["history", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def row(problem: str, target: float, seconds: float, success: float = 1.0, batch_size: int = 8,
        **more: float | str) -> dict[str, object]:
    """A row of a summary, with the columns that a history needs."""
    return {"problem": problem, "batch_size": batch_size, "schedule": "linear", "target": target,
            "success_rate": success, "ert_steps": 100.0, "final_loss_median": 0.1, "seconds_solo_median": seconds,
            "seconds_solo_low": 0.9 * seconds, "seconds_solo_high": 1.2 * seconds} | more


TWO = [row("a", 0.5, 0.1), row("a", 0.1, 0.4), row("b", 0.5, 0.9)]  # headlines 0.4 and 0.9 s: geometric mean 0.6 s


def make(folder: Path, day: str, rows: list[dict[str, object]] | None = None, *, device: str = "cpu",
         cpu_model: str = "AMD EPYC", config_hash: str = "c0ffee000", whole: bool = True,
         **environment: object) -> None:
    """A run folder of two files, as reference runs are committed."""
    folder.mkdir(parents=True)
    cells = [{"problem": "a", "optimizer": "sgd", "batch_size": 8, "schedule": "linear", "device": device, "note": "",
              "status": status} for status in ("finished", "finished" if whole else "pending")]
    run = {"schema": 1, "suite": "quick", "config": {"name": "quick"}, "config_hash": config_hash, "command": [],
           "started": f"{day}T10:00:00+00:00", "finished": f"{day}T11:00:00+00:00" if whole else None,
           "device": device, "mark_ratio": {}, "problems": {}, "cells": cells, "warnings": [],
           "environment": {"cpu_model": cpu_model, "affinity": [0, 1], "git_commit": "abcdef0123456",
                           "git_dirty": False, "device_kind": device} | environment}
    (folder / "run.json").write_text(json.dumps(run))
    if rows is not None:
        pd.DataFrame(rows).to_csv(folder / "summary.csv", index=False)


def times(rows: list[dict[str, object]], factor: float) -> list[dict[str, object]]:
    """The rows with all seconds times a factor."""
    return [{name: float(str(value)) * factor if name.startswith("seconds") else value for name, value in each.items()}
            for each in rows]


def series(root: Path) -> dict[str, list[str]]:
    """Folders by line."""
    return {label: [entry.folder for entry in entries] for label, entries in history.read(root).series().items()}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Runs at several depths, and folders that are none."""
    root = tmp_path / "results"
    make(root / "second", "2026-02-01", times(TWO, 0.5))
    make(root / "reference" / "first", "2026-01-01", TWO)
    make(root / "reference" / "gpu", "2026-02-02", times(TWO, 0.1), device="gpu", device_kind="NVIDIA H100",
         git_dirty=True)
    make(root / "second" / "parts" / "copy", "2020-01-01", TWO)  # nothing inside a run is looked at
    (root / "benchmarks" / "Linux").mkdir(parents=True)
    (root / ".hidden").mkdir()
    (root / "notes.txt").touch()
    return root


def test_runs_are_listed_oldest_first_with_their_headlines(tree: Path) -> None:
    code, said = call(str(tree))
    assert code == 0
    rows = [line.split() for line in said.splitlines() if line.strip().startswith("2026")]
    assert [line[:5] for line in rows] == [["2026-01-01", "10:00", "abcdef0", "quick", "cpu"],
                                           ["2026-02-01", "10:00", "abcdef0", "quick", "cpu"],
                                           ["2026-02-02", "10:00", "abcdef0+", "quick", "gpu"]]
    assert [line[-4:] for line in rows] == [["2/2", "600", "ms", "reference/first"], ["2/2", "300", "ms", "second"],
                                            ["2/2", "60", "ms", "reference/gpu"]]
    assert "AMD EPYC, 2 cores" in said and "NVIDIA H100" in said
    assert "passed over: benchmarks: holds no run" in said
    assert "hidden" not in said and "notes" not in said and "copy" not in said
    assert f"picture: {tree}/history.png and {tree}/history.svg" in said


def test_the_headline_is_the_soonest_cell_on_the_smallest_target_that_half_reach() -> None:
    rows = [row("a", 0.5, 0.1), row("a", 0.1, 0.4, batch_size=8), row("a", 0.1, 0.3, batch_size=32),
            row("a", 0.1, 0.2, success=0.4),  # sooner, but reached by too few
            row("a", 0.01, math.inf, success=0.4)]
    [found] = winners_of(pd.DataFrame(rows))
    assert found.problem == "a" and found.goal == "at most 0.1"
    assert found.seconds == Estimate(0.3, pytest.approx(0.27), pytest.approx(0.36))
    assert found.words == "batch 32, linear"


def test_the_headlines_of_the_reference_run_are_those_of_its_report() -> None:
    found = winners_of(pd.read_csv(REFERENCE / "summary.csv"))
    summary = pd.read_csv(REFERENCE / "summary.csv")
    for winner in found:
        rows = summary[(summary["problem"] == winner.problem) & (summary["success_rate"] >= 0.5)]
        assert winner.seconds.value == rows[rows["target"] == rows["target"].min()]["seconds_solo_median"].min()
    entry = history.entry_of(REFERENCE, "quick-cpu")
    assert entry.headline == pytest.approx(np.exp(np.mean(np.log([winner.seconds.value for winner in found]))))
    assert len(found) == 4 and entry.cells == (100, 100) and entry.whole


def test_a_miss_is_infinite_and_an_untimed_problem_has_no_headline() -> None:
    missed, untimed = row("a", 0.5, math.inf, success=0.4), row("b", 0.5, math.nan)
    [a, b] = winners_of(pd.DataFrame([missed, untimed]))
    assert a.seconds.value == math.inf and a.words == "reached by none"
    assert math.isnan(b.seconds.value) and b.words == "not timed"

    def headline(*winners: Winner) -> float:
        return Entry("x", datetime.now(UTC), "", "", "", "", "", True, (1, 1), winners).headline

    assert headline(a, Winner("c", "", Estimate(1.0, 1.0, 1.0), "")) == math.inf
    assert math.isnan(headline(a, b)) and math.isnan(headline())


def test_a_target_met_at_the_start_takes_no_time(tmp_path: Path) -> None:
    """A hit at step 0, as of a lane that starts below its target: a median of 0 s, or the low end of an interval."""
    make(tmp_path / "low", "2026-01-01", [row("a", 0.5, 0.1, seconds_solo_low=0.0), TWO[2]])
    make(tmp_path / "all", "2026-01-02", [row("a", 0.5, 0.0), TWO[2]])
    make(tmp_path / "lost", "2026-01-03", [row("a", 0.5, 0.0), row("b", 0.5, math.inf, success=0.1)])
    code, said = call(str(tmp_path))
    assert code == 0 and "passed over" not in said
    found = {entry.folder: entry.headline for entry in history.read(tmp_path).entries}
    assert found == {"low": pytest.approx(0.3), "all": 0.0, "lost": math.inf}  # √(0.1 × 0.9), √(0 × 0.9)
    assert "headline of 0: all has a problem whose target half of the starts meet at step 0" in said
    assert said.count("headline of 0") == 1
    figure = history_picture.history_figure(history.read(tmp_path).series())
    figure.canvas.draw()
    days = mdates.date2num([datetime(2026, 1, day, 10, tzinfo=UTC) for day in (1, 2, 3)])
    for axes, signs in zip(figure.axes, ({CARETDOWN: [1], "x": [2]}, {CARETDOWN: [1, 2], "x": []},
                                         {CARETDOWN: [], "x": [2]}), strict=True):
        for sign, places in signs.items():
            at = [x for line in axes.lines if line.get_marker() == sign for x in np.atleast_1d(line.get_xdata())]
            assert np.allclose(at, days[places])
        assert axes.get_yscale() == "log" and 0 < axes.get_ylim()[0] < axes.get_ylim()[1] < math.inf
    [[segment, *_]] = [bars.get_segments() for bars in figure.axes[1].containers[0].lines[2]]
    assert segment[:, 1].tolist() == pytest.approx([0.0, 0.12])  # down to the axis and beyond
    caption = figure.texts[-1].get_text()
    assert history_picture.AT_ONCE in caption and history_picture.MISSED in caption
    low, high = figure.axes[1].get_ylim()
    assert low < 0.1 < 0.12 < high, "the point of which the bar goes down to the axis"
    box = figure.texts[-1].get_window_extent()
    assert box.x1 <= figure.bbox.x1
    assert not any(box.overlaps(axes.xaxis.label.get_window_extent()) for axes in figure.axes)


def test_a_shard_is_no_whole_run_of_its_suite(tmp_path: Path) -> None:
    for day, (name, shard) in enumerate([("whole", None), ("one", [1, 2]), ("two", [2, 2]), ("again", [1, 2])], 1):
        make(tmp_path / name, f"2026-01-0{day}", times(TWO, 2 if shard else 1))
        if shard:
            path = tmp_path / name / "run.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | {"shard": shard}))
    assert series(tmp_path) == {"quick on cpu: AMD EPYC, 2 cores": ["whole"],
                                "quick, shard 1/2 on cpu: AMD EPYC, 2 cores": ["one", "again"],
                                "quick, shard 2/2 on cpu: AMD EPYC, 2 cores": ["two"]}
    assert [entry.suite for entry in history.read(tmp_path).entries][:2] == ["quick", "quick, shard 1/2"]


@pytest.mark.parametrize("change", [{"device": "gpu", "device_kind": "NVIDIA H100"}, {"cpu_model": "Intel Xeon"},
                                    {"config_hash": "deadbee00"}, {"affinity": [0]}])
def test_what_is_not_the_same_is_another_line(tmp_path: Path, change: dict) -> None:
    make(tmp_path / "one", "2026-01-01", TWO)
    make(tmp_path / "two", "2026-01-02", TWO, **change)
    make(tmp_path / "three", "2026-01-03", TWO)
    found = series(tmp_path)
    assert list(found.values()) == [["one", "three"], ["two"]]
    assert all(label.startswith("quick on ") for label in found)


def test_other_targets_are_another_line_and_the_label_says_which(tmp_path: Path) -> None:
    make(tmp_path / "one", "2026-01-01", TWO)
    make(tmp_path / "two", "2026-01-02", [row("a", 0.5, 0.1), row("a", 0.1, math.inf, success=0.1), TWO[2]])
    make(tmp_path / "three", "2026-01-03", TWO[:2])
    assert series(tmp_path) == {"quick on cpu: AMD EPYC, 2 cores; a at most 0.1, b at most 0.5": ["one"],
                                "quick on cpu: AMD EPYC, 2 cores; a at most 0.5, b at most 0.5": ["two"],
                                "quick on cpu: AMD EPYC, 2 cores; a at most 0.1": ["three"]}


def test_a_problem_that_none_reached_stays_on_its_line_whenever_that_was(tmp_path: Path) -> None:
    lost = [row("a", target, math.inf, success=0.1) for target in (0.5, 0.1)] + [TWO[2]]
    make(tmp_path / "zero", "2026-01-01", lost)
    make(tmp_path / "one", "2026-01-02", TWO)
    make(tmp_path / "two", "2026-01-03", lost)
    assert series(tmp_path) == {"quick on cpu: AMD EPYC, 2 cores": ["zero", "one", "two"]}


def test_what_cant_be_read_is_named_and_the_rest_is_listed(tmp_path: Path) -> None:
    make(tmp_path / "fine", "2026-01-01", TWO)
    for name in ("newer", "no-time", "no-rows", "no-column", "words", "holes", "negative", "not-csv", "broken", "list"):
        make(tmp_path / name, "2026-01-02", TWO)

    def edit(name: str, change: Callable[[dict], object]) -> None:
        run = json.loads((tmp_path / name / "run.json").read_text())
        change(run)
        (tmp_path / name / "run.json").write_text(json.dumps(run))

    edit("newer", lambda run: run.update(schema=2))
    edit("no-time", lambda run: run.update(started="yesterday"))
    (tmp_path / "no-rows" / "summary.csv").write_text(pd.DataFrame(TWO)[:0].to_csv(index=False))
    pd.DataFrame(TWO).drop(columns="success_rate").to_csv(tmp_path / "no-column" / "summary.csv")
    pd.DataFrame(TWO).assign(target="low").to_csv(tmp_path / "words" / "summary.csv")
    pd.DataFrame([*TWO, row("c", math.nan, 1.0)]).to_csv(tmp_path / "holes" / "summary.csv")
    pd.DataFrame([*TWO, row("c", 0.5, -1e-9)]).to_csv(tmp_path / "negative" / "summary.csv")
    (tmp_path / "not-csv" / "summary.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "broken" / "run.json").write_text("{")
    (tmp_path / "list" / "run.json").write_text("[]")
    make(tmp_path / "unfinished", "2026-01-03", TWO, whole=False)
    make(tmp_path / "not reported", "2026-01-04")
    make(tmp_path / "untimed", "2026-01-05", [row("a", 0.5, math.nan)])
    code, said = call(str(tmp_path))
    assert code == 0
    for text in ("newer: run.json: has another schema (got 2, this version reads 1)",
                 "no-time: run.json: started: must be a time (got 'yesterday')",
                 "no-column: summary.csv: lacks columns (got no success_rate)",
                 "words: summary.csv: target: must be numbers (got 'low')",
                 "holes: summary.csv: target: must be numbers (got 'nan')",
                 "negative: summary.csv: seconds_solo_median: must be numbers, 0 or more (got '-1e-09')",
                 "not-csv: summary.csv: cannot be read (got ", "broken: run.json: cannot be read (got ",
                 "list: run.json: is not a manifest of a run (got no object)"):
        assert f"passed over: {text}" in said
    assert "no headline: no-rows has no rows in summary.csv" in said
    assert "not drawn: unfinished has 1 of 2 cells and is not at its end" in said
    again = f"python -m bench report '{tmp_path}/not reported' makes it again"
    assert f"no headline: not reported has no summary.csv; {again}" in said
    assert "no headline: untimed has problems whose steps were not timed" in said
    assert series(tmp_path) == {"quick on cpu: AMD EPYC, 2 cores": ["fine"]}


def test_a_study_is_listed_without_a_headline_and_one_run_may_be_given_itself(tmp_path: Path) -> None:
    code, said = call(str(ROOT / "results" / "reference"), "--out", str(tmp_path / "new" / "all.png"))
    assert code == 0
    assert "a study of claims" in said and "14/14" in said
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["all.png", "all.svg"]
    shutil.copytree(ROOT / "results" / "reference" / "textbook-cpu", tmp_path / "study")
    code, said = call(str(tmp_path / "study"))
    assert code == 0 and "no picture: no run has come to its end with a headline" in said
    assert not (tmp_path / "study" / "history.png").exists()


@pytest.mark.parametrize(("arguments", "code", "text"), [
    (["absent"], 4, "error: absent: is no folder (got nothing there). Give the folder that holds the runs"),
    (["file"], 4, "error: file: is no folder (got a file)."),
    (["empty"], 4, "error: empty: holds no run that can be read (got 1 folder without one). Make one: python -m bench"),
    (["runs", "--out", "a.pdf"], 2, "error: --out: must end in .png (got a.pdf). The .svg goes beside it."),
    (["runs", "--out", "file/a.png"], 4, "error: --out: file/a.png: cannot be written (got "),
    (["runs", "--out", "folder.png"], 4, "error: --out: folder.png: cannot be written (got Is a directory)."),
])
def test_bad_input_is_said(arguments: list[str], code: int, text: str, tmp_path: Path,
                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(history_picture, "history_figure", lambda found: Figure(figsize=(1, 1)))
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder.png").mkdir()
    make(tmp_path / "runs" / "one", "2026-01-01", TWO)
    found, said = call(*arguments)
    assert found == code
    assert text in said
    assert not list(tmp_path.glob("**/history.*"))


def test_a_folder_error_while_walking_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(FolderError, match=r"cannot be read \(got Permission denied\)\. Mend its rights\.$"):
        history.read(tmp_path)


@pytest.mark.parametrize("width", ["40", "80", "200"])
def test_the_table_fits_the_terminal(tree: Path, width: str, tmp_path: Path) -> None:
    done = CliRunner(env={"COLUMNS": width}).invoke(command_line.cli, ["history", str(tree), "--out",
                                                                       str(tmp_path / "a.png")])
    assert done.exit_code == 0
    table = done.output.partition("headline: seconds of")[0]
    assert max(map(len, table.splitlines())) <= int(width)
    assert "headline" in table and "60 ms" in table
    assert all(entry.folder in table for entry in history.read(tree).entries)


@pytest.mark.parametrize("width", ["20", "40", "60", "80"])
def test_a_long_name_is_folded_and_not_cut(tmp_path: Path, width: str) -> None:
    name = "a-folder-of-a-name-that-is-longer-than-some-terminals-are-wide-20260101-100000"
    make(tmp_path / name, "2026-01-01", TWO)
    stream = io.StringIO()
    Console(file=stream, width=int(width)).print(history.table(history.read(tmp_path)))
    shown = stream.getvalue().splitlines()
    assert max(map(len, shown)) <= int(width)
    start = max(line.find("a-folder") for line in shown)
    assert name in "".join(line[start:].strip() for line in shown)


def test_without_a_terminal_a_row_is_a_line(tmp_path: Path) -> None:
    make(tmp_path / ("folder-" * 30), "2026-01-01", TWO)
    done = CliRunner(env={"COLUMNS": None}).invoke(command_line.cli, ["history", str(tmp_path), "--out",
                                                                      str(tmp_path / "a.png")])
    [row] = [line.split() for line in done.output.splitlines() if line.startswith("2026")]
    assert row[-1] == "folder-" * 30 and len(row) == 9


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
