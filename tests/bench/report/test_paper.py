"""The winners as a table for a paper: known numbers, characters that LaTeX would read, runs without an answer."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import bench
from bench.cli import cli
from bench.report.paper import latex, winners
from bench.tables import empty
from tests.bench.synthetic import Plan, write_run
from tests.bench.tiny import cell, tables, timing

SLOW = cell(10, "constant", [40.0, 40.0, 40.0, 40.0])
FAST = cell(100, "inverse_time", [10.0, 10.0, 10.0, float("inf")])
TIMED = [timing(10, [0.2], [0.05]), timing(100, [0.5], [0.1])]


def test_the_row_of_the_winner_is_worked_out_by_hand() -> None:
    """10 steps of 0.5 s against 40 of 0.2 s. Three of four hit between 9 and 11; no end above: one miss of four."""
    assert bench.table(tables([SLOW, FAST], TIMED), style="markdown").splitlines() == [
        "| problem | target | batch size | schedule | steps | time, one training | starts that hit |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| p | within 10 % of the initial gap | all (100) | inverse time | 10 [9, ∞] | 5 s [4.5, ∞] | 3 of 4 (75 %) |"]


def test_latex_says_the_same_with_rules_and_escaped() -> None:
    assert bench.table(tables([SLOW, FAST], TIMED)).splitlines() == [
        r"\begin{tabular}{lllllll}", r"\toprule",
        r"problem & target & batch size & schedule & steps & time, one training & starts that hit \\", r"\midrule",
        r"p & within 10 \% of the initial gap & all (100) & inverse time & 10 [9, $\infty$] & 5 s [4.5, $\infty$] & "
        r"3 of 4 (75 \%) \\", r"\bottomrule", r"\end{tabular}"]


def test_a_problem_that_no_cell_solves_has_dashes() -> None:
    missed = cell(10, "constant", [10.0, float("inf"), float("inf"), float("inf")])
    assert winners(tables([missed])).iloc[0].tolist() == ["p", "within 10 % of the initial gap", *["–"] * 5]


def test_without_step_times_the_winner_has_steps_and_a_dash() -> None:
    row = winners(tables([SLOW, FAST])).iloc[0]
    assert (row["batch size"], row["steps"], row["time, one training"]) == ("10", "40 [36, 44]", "–")  # fewest examples


def test_several_optimizers_are_named() -> None:
    other = {name: frame.assign(optimizer="adam") for name, frame in FAST.items()}
    assert winners(tables([SLOW, other], [TIMED[0], TIMED[1].assign(optimizer="adam")])).iloc[0]["optimizer"] == "adam"


def test_no_character_of_a_name_is_read_by_latex() -> None:
    """Left over of a cell without escapes and symbols is plain text; a bracket after a row's end opens no argument."""
    name = r"[x] \input{a} 50% of $x_1^2$ & #3 ~ <b> |µ| ∞"
    row = latex(pd.DataFrame({"problem": [name, name]})).splitlines()[4]
    assert row.startswith("{[}x] ") and row.endswith(r" \\")
    known = r"\\text(backslash|asciitilde|asciicircum) |\\[%$&#_{}]|\\space |\$(\\infty|\\mu|[<>|])\$|\{\[\}"
    left = re.sub(known, "", row.removesuffix(r" \\"))
    assert not set(left) & set(r"\{}%$&#_^~<>|µ∞") and left.isascii()


def test_an_empty_run_has_a_head_and_no_rows(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"schema": 1, "cells": []}')
    assert bench.table(tmp_path, "latex").count(r"\\") == 1


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"style: unknown \(got 'tex'\). Choose one of: latex, markdown."):
        bench.table(tables([SLOW]), "tex")
    study = replace(tables([]), claims=empty("claims").reindex([0]))
    with pytest.raises(ValueError, match="a study of claims has no winners"):
        bench.table(study)


def test_the_command_prints_the_table_and_writes_nothing(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", Plan(batch_sizes=(8, 32), schedules=("linear",), starts=4, tuning_starts=2))
    before = sorted(folder.rglob("*"))
    command = ["report", str(folder), "--table", "latex"]
    done = CliRunner().invoke(cli, command)
    assert (done.exit_code, done.stdout) == (0, bench.table(folder, "latex"))
    assert sorted(folder.rglob("*")) == before
    (folder / "parts" / "0.sgd.8" / "hits.parquet").write_bytes(b"")
    assert "warning: parts/0.sgd.8: left out" in CliRunner().invoke(cli, command).stderr
    assert CliRunner().invoke(cli, ["report", str(tmp_path), "--table", "latex"]).exit_code == 4
