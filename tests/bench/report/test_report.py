"""The report of whole, partial, empty and hostile run folders."""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

import bench
from bench.analysis.answer import answers, headlines
from bench.analysis.summary import FIXED, summarise
from bench.report import limits
from bench.report.content import _answer, _mark_ratio, _warnings
from bench.report.files import write_whole
from bench.report.markdown import escape
from bench.report.report import write_report
from bench.report.style import tick_places
from tests.bench.synthetic import GAPS, Plan, seal, write_run
from tests.bench.tiny import cell, tables, timing
from tests.once import made_once

HOSTILE = "<script>alert(1)</script> $x$ |a| [b](c)"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A partial run of two problems, one of an evil name, the other without step times."""
    plan = Plan(problems=(HOSTILE, "plain_name"), batch_sizes=(8, 1797), schedules=("constant", "linear"),
                rates=(0.3, 1.0), starts=8, tuning_starts=4, unfinished=[("plain_name", 8)], untimed=["plain_name"])
    return made_once(tmp_path_factory, "hostile", lambda folder: write_report(write_run(folder, plan)))


@pytest.fixture(scope="module")
def one_cell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run of one cell, which began on a busy machine."""
    folder = write_run(tmp_path_factory.mktemp("one"), Plan(batch_sizes=(32,), schedules=("linear",), starts=4,
                                                            tuning_starts=2))
    run = json.loads((folder / "run.json").read_text())
    run["environment"] |= busy(3.5)["environment"]
    (folder / "run.json").write_text(json.dumps(run))
    write_report(folder)
    return folder


def busy(load: float) -> dict[str, dict[str, object]]:
    """Facts of a run that began under a load on two cores."""
    return {"environment": {"load_before": [load, 1.0, 1.0], "affinity": [0, 1]}}


def test_row_29_partial_runs_say_so(hostile: Path) -> None:
    text = (hostile / "report.md").read_text()
    assert "partial: 6 of 8 cells" in text
    assert "(so far, 2 of 4 cells)" in text


def test_row_29_names_are_escaped_everywhere(hostile: Path) -> None:
    text = (hostile / "report.md").read_text()
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; $x$ \\|a\\|" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    widths = {line.replace("\\|", "").count("|") for line in rows if "next best" in line or "★" in line}
    assert widths == {10}  # nine columns: a bar in a name opens no tenth
    for path in (hostile / "figures").glob("*.svg"):
        assert not [node for node in ElementTree.parse(path).iter() if node.tag.endswith("script")]


def test_figures_named_in_the_report_exist_and_are_pictures(hostile: Path) -> None:
    text = (hostile / "report.md").read_text()
    names = [part.split(")")[0] for part in text.split("](figures/")[1:]]
    assert len(names) == 2 * (7 + 6 + 1)  # PNG and SVG; no seconds without step times; one across problems
    for name in names:
        content = (hostile / "figures" / name).read_bytes()
        assert content.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")


def test_summary_has_a_row_per_cell_and_target(hostile: Path) -> None:
    summary = pd.read_csv(hostile / "summary.csv")
    assert len(summary) == 6 * len(GAPS)
    assert list(summary.columns[:len(FIXED)]) == FIXED
    assert summary.loc[summary["problem"] == "plain_name", "seconds_solo_median"].isna().all()


def test_every_figure_names_the_table_that_holds_its_numbers(hostile: Path) -> None:
    page = (hostile / "report.html").read_text(encoding="utf-8")
    figures = page.split("<figure id=")[1:]
    named = [re.findall(r'Numbers: <a href="([^"]*)">', figure.split("</figure>")[0]) for figure in figures]
    assert {len(each) for each in named} == {1}
    named_csv = {each[0] for each in named if each[0].endswith(".csv")}
    assert named_csv == {"summary.csv", "timing.csv", "ecdf.csv", "waiting.csv", "rates.csv", "profile.csv"}
    for name in named_csv:
        assert len(pd.read_csv(hostile / name)) > 0
        assert f'<a href="{name}">' in page.split("Download:")[1] or f'download="{name}"' in page


def test_no_temporary_file_is_left(hostile: Path) -> None:
    assert not list(hostile.rglob("*.tmp"))


def test_the_report_can_be_made_again_and_is_the_same(one_cell: Path) -> None:
    def contents() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in one_cell.rglob("*") if path.is_file()}

    before = contents()
    write_report(one_cell)
    assert contents() == before


def test_parts_with_an_older_or_a_wider_table_are_read_together(tmp_path: Path) -> None:
    folder = write_run(tmp_path, Plan(batch_sizes=(8, 32), schedules=("linear",), starts=4, tuning_starts=2))
    old = folder / "parts" / "0.timing"
    timing = pd.read_parquet(old / "timing.parquet")
    timing.drop(columns="process").iloc[::-1].to_parquet(old / "timing.parquet")  # its index is no range
    seal(old)
    lanes = pd.read_parquet(folder / "parts" / "0.sgd.8" / "lanes.parquet")
    lanes.assign(mine=1).to_parquet(folder / "parts" / "0.sgd.8" / "lanes.parquet")
    seal(folder / "parts" / "0.sgd.8")
    tables = bench.load(folder)
    assert tables.timing["process"].eq(0).all() and tables.timing.index.equals(pd.RangeIndex(len(timing)))
    assert tables.timing["seconds"].tolist() == timing["seconds"].tolist()[::-1]
    assert tables.lanes.groupby("batch_size")["mine"].sum().to_dict() == {8: len(lanes), 32: 0}


def test_sweeping_is_as_before(tmp_path: Path) -> None:
    """After a report, and after one that fails."""
    before = gc.get_threshold()
    write_report(write_empty(tmp_path))
    assert gc.get_threshold() == before
    with pytest.raises(ValueError, match="Give the folder of a run"):
        write_report(tmp_path / "nowhere")
    assert gc.get_threshold() == before


def write_empty(folder: Path) -> Path:
    """A run without cells."""
    (folder / "run.json").write_text('{"schema": 1, "suite": "none", "cells": []}')
    return folder


def test_row_29_no_cells_at_all(tmp_path: Path) -> None:
    write_report(write_empty(tmp_path))
    text = (tmp_path / "report.md").read_text()
    assert "partial: 0 of 0 cells" in text
    assert "No problem has a finished cell yet" in text
    assert len(pd.read_csv(tmp_path / "summary.csv")) == 0


def test_row_29_one_cell(one_cell: Path) -> None:
    text = (one_cell / "report.md").read_text()
    assert "complete: 1 of 1 cells" in text
    assert "There are no two cells to compare." in text
    assert " rows; all are in" not in text + (one_cell / "report.html").read_text()
    assert len(pd.read_csv(one_cell / "summary.csv")) == len(GAPS)


def test_row_29_a_large_run_is_cut_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, limit in (("ROWS", 2), ("CELLS", 4), ("PICTURED", 1), ("SIZES", 2), ("SCHEDULES", 1), ("EMBEDDED", 10)):
        monkeypatch.setattr(limits, name, limit)
    plan = Plan(problems=("first", "second"), batch_sizes=(8, 32, 128), schedules=("constant", "linear"), starts=4,
                tuning_starts=2, rates=(0.3, 1.0), marks=8)
    write_report(write_run(tmp_path, plan))
    text, page = ((tmp_path / f"report.{kind}").read_text() for kind in ("md", "html"))
    for report in (text, page):
        assert "The first 2 of 6 rows; all are in timing.csv." in report
        assert "The first 2 of 6 rows; all are in summary.csv." in report  # winners: 2 problems × 3 targets
        assert "Figures are drawn of the first 1 of 2 problems. A figure shows at most 2 batch sizes" in report
    assert "The first 4 of 36 rows; all are in summary.csv." in page
    assert page.count("<td data-key=") == 4 * 14
    rates = page.split('<figure id="plot-1-rates">')[1].split("</figure>")[0]
    assert "batch size <select" not in rates  # the one that figures show, so that there is nothing to choose
    assert 'href="summary.csv"' in page and 'href="data:text/csv' in page  # timing.csv has 6 rows
    assert len(pd.read_csv(tmp_path / "summary.csv")) == 12 * len(GAPS)
    assert len(pd.read_csv(tmp_path / "timing.csv")) == 6
    assert {path.name.split("-")[1] for path in (tmp_path / "figures").iterdir()} == {"first", "across"}


def test_figures_keep_the_soonest_cell_and_the_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SIZES", 3)
    rows = pd.DataFrame({"problem": "p", "optimizer": "sgd", "device": "cpu", "schedule": "constant", "lanes": 4,
                         "target": 0.5, "success_rate": 1.0, "hits": 4, "batch_size": [1, 2, 4, 8, 16],
                         "seconds_solo_median": [9.0, 1.0, 8.0, 7.0, 6.0], "final_loss_median": 0.1,
                         "examples_median": 1.0, "ert_steps": 1.0})
    assert sorted(limits.pictured(rows)["batch_size"]) == [1, 2, 16]


def test_memory_and_lane_steps_are_told_and_bounds_are_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh process's peak is one; of later groups it is an upper bound; of a GPU the device's own counts."""
    monkeypatch.setattr(limits, "PICTURED", 0)  # no figure is looked at
    folder = write_run(tmp_path, Plan(batch_sizes=(8, 32, 128), schedules=("linear",), starts=4, tuning_starts=2))
    for size, fresh, device in ((8, True, None), (32, False, None), (128, False, 9_000_000)):
        part = folder / "parts" / f"0.sgd.{size}"
        memory = pd.DataFrame([{"problem": "digits-softmax", "optimizer": "sgd", "batch_size": size, "device": "cpu",
                                "width": 128, "fresh": fresh, "before_bytes": 1, "peak_bytes": 812_000_000 + size,
                                "device_peak_bytes": device}]).astype({"device_peak_bytes": "Int64"})
        if fresh:  # older runs did not keep them
            memory = memory.assign(lane_steps_run=500_000, lane_steps_needed=400_000)
        memory.to_parquet(part / "memory.parquet")
        seal(part)
    write_report(folder)
    found = bench.load(folder).memory
    assert found["device_peak_bytes"].isna().tolist() == [False, True, True]  # parts by name: 128, 32, 8
    assert str(found["device_peak_bytes"].dtype) == "Int64"
    rows = [line for line in (tmp_path / "report.md").read_text().splitlines() if line.endswith(" MB |")]
    assert [row.split("|")[-2].strip() for row in rows] == ["812 MB", "≤ 812 MB", "≤ 9 MB"]
    assert [row.split("|")[-3].strip() for row in rows] == ["1.25 (500,000 / 400,000)", "–", "–"]
    assert pd.read_csv(tmp_path / "timing.csv")["lane_steps_run"].tolist()[0] == 500_000
    assert "Only that of a fresh process is a\ntrue peak" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(("tied", "said"), [(0, ""), (1, "or another, not told apart from it"),
                                            (3, "or one of 3 others, not told apart from it")])
def test_an_answer_says_at_once_how_many_cells_may_be_as_soon(tied: int, said: str) -> None:
    steps = np.random.default_rng(0).lognormal(3, 0.4, 32)
    schedules = ["linear", "cosine", "exponential"][:tied]
    random = np.random.default_rng(5)
    made = tables([cell(10, "constant", list(steps)), cell(10, "staircase", list(9 * steps)),
                   *(cell(10, name, list(random.permutation(steps))) for name in schedules)],
                  [timing(10, [0.1] * 5, [0.1] * 5)])
    answer = headlines(answers(made, summarise(made)))[0]
    assert _answer(answer, pd.DataFrame(columns=["problem", "device"]), made.run)["tied"] == said


def test_a_run_that_began_on_a_busy_machine_says_so(one_cell: Path) -> None:
    for kind in ("md", "html"):
        assert "the load was 3.5 when the run began" in (one_cell / f"report.{kind}").read_text()
    assert _warnings(busy(0.9)) == []


@pytest.mark.parametrize(("ratios", "said"), [([1.5811, 1.5849], "is 1.58:"), ([1.2, 1.5849], "is 1.2 to 1.58:")])
def test_the_ratio_of_marks_is_said_once_where_its_ends_look_alike(ratios: list[float], said: str) -> None:
    run = {"mark_ratio": {f"p.sgd.{size}": ratio for size, ratio in enumerate(ratios)}}
    assert f"Of all neighbouring marks of a batch size the median ratio {said} " in _mark_ratio(run)


def test_failed_cells_are_listed(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(
        '{"schema": 1, "problems": {"p": {"examples": 5}}, "device": "gpu", "cells": [{"problem": "p", "optimizer": '
        '"sgd", "batch_size": 5, "schedule": "step", "device": "gpu", "status": "oom", "note": "try width 64"}]}')
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "| p | sgd | 5 | step | oom | try width 64 |" in text
    assert "p on gpu: every cell failed (1 of 1)." in text


def test_a_truncated_part_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    folder = write_run(tmp_path, Plan(batch_sizes=(8, 32), schedules=("linear",), starts=4, tuning_starts=2))
    broken = folder / "parts" / "0.sgd.8" / "lanes.parquet"
    broken.write_bytes(broken.read_bytes()[:100])
    tables = bench.load(folder)
    assert set(tables.lanes["batch_size"]) == {32}
    assert "parts/0.sgd.8: left out, lanes.parquet is truncated" in str(tables.run["warnings"])


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Give the folder of a run"):
        write_report(tmp_path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    write_whole(path, b"old")
    with pytest.raises(TypeError):
        write_whole(path, None)  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.md"]


def test_escape_leaves_intervals_and_words_as_they_are() -> None:
    assert escape("1.3 [1.2, ∞] my_name *b* [x](y) __init__") == (
        r"1.3 [1.2, ∞] my_name \*b\* \[x\](y) \_\_init\_\_")


def test_ticks_are_round_numbers() -> None:
    assert tick_places(1.5, 30) == [2.0, 5.0, 10.0, 20.0]
    assert tick_places(0.34, 0.75) == [0.4, 0.5, 0.6, 0.7]
    assert tick_places(0.02, 5000) == pytest.approx([0.1, 1, 10, 100, 1000])


def test_the_report_needs_no_jax_and_no_pyplot() -> None:
    code = "import sys, bench.report.report; print({'jax', 'gdjax', 'matplotlib.pyplot'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
