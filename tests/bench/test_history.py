"""`python -m bench history`: which runs it finds, what their headline is, which of them share a line."""

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
from matplotlib.markers import CARETDOWN
from rich.console import Console

from bench import cli as command_line
from bench import history, history_picture
from bench.analysis.intervals import Estimate
from bench.history import Entry, Winner, winners_of
from bench.store import FolderError
from tests.bench.history_folders import TWO, make, row, times

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "results" / "reference" / "quick-cpu"


def call(*arguments: str) -> tuple[int, str]:
    """Exit code, and stdout and stderr together."""
    done = CliRunner(env={"COLUMNS": "200"}).invoke(command_line.cli, ["history", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


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
