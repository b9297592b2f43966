"""Two folders compared: no verdict on a run and its repeat, what was planted is found, and called what it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from bench.analysis.parity import AGREE, DIFFER, EQUAL, parity_table
from bench.analysis.sides import Pair, Side
from bench.analysis.verdicts import FASTER, NOISY, SAME, SLOWER
from bench.analysis.versus import COLUMNS, PER_STEP, TO_TARGET, Versus, _interval, versus
from bench.cli import cli
from bench.compare import NotComparable, compare
from bench.compare.differences import differences, refusals
from bench.tables import load
from tests.bench import synthetic
from tests.bench.compare import folders
from tests.once import made_once


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "base", lambda folder: folders.write(folder, 1))


def found(a: Path, b: Path) -> tuple[Versus, pd.DataFrame]:
    pair = Pair(Side("a", load(a)), Side("b", load(b)))
    parity = parity_table(pair)
    return versus(pair, parity), parity


def words(result: Versus, quantities: tuple[str, ...]) -> list[str]:
    return list(result.cells.loc[result.cells["quantity"].isin(quantities), "verdict"])


def test_a_run_and_its_repeat_get_no_verdict_in_19_of_20_cells(base, tmp_path):
    said = []
    for seed in range(2, 7):
        result, _ = found(base, folders.write(tmp_path / str(seed), seed))
        said += words(result, PER_STEP)
    assert len(said) == 5 * 12
    wrong = [word for word in said if word in (FASTER, SLOWER)]
    assert len(wrong) <= len(said) / 20


def test_a_planted_slow_down_of_a_fifth_is_found_and_the_gate_fails(base, tmp_path, monkeypatch):
    slow = folders.write(tmp_path / "slow", 3, factor=1.2, between=0.01)
    comparison = compare(base, slow, tmp_path / "out")
    assert set(words(comparison.versus, PER_STEP)) == {SLOWER}
    assert set(pd.read_csv(tmp_path / "out" / "parity.csv")["parity"]) == {EQUAL}
    overall = comparison.versus.overall.set_index("quantity").loc["seconds_solo"]
    assert overall["verdict"] == SLOWER
    assert overall["low"] < 1 / 1.2 < overall["high"]
    assert comparison.slower_than(1.1)
    assert not comparison.slower_than(1.3)
    assert "later than A" in comparison.lines[-1]
    assert not compare(slow, base, tmp_path / "out").slower_than(1.0)
    monkeypatch.setattr("bench.compare.compare", lambda a, b, out: comparison)  # the whole way: test_one_sided.py
    runner = CliRunner()
    call = ["compare", str(base), str(slow), "--out", str(tmp_path / "out")]
    assert runner.invoke(cli, call).exit_code == 0
    assert runner.invoke(cli, [*call, "--fail-above", "1.1"]).exit_code == 6
    assert runner.invoke(cli, [*call, "--fail-above", "2"]).exit_code == 0


def test_a_planted_change_of_the_loss_is_told_as_such_and_not_as_speed(base, tmp_path):
    other = folders.write(tmp_path / "other", 4, between=0.01)
    initial = synthetic.INITIAL - synthetic.OPTIMUM
    folders.change(other, "lanes", lambda lanes: lanes.assign(final_loss=lanes["final_loss"] + 0.01 * initial))
    folders.change(other, "hits", lambda hits: hits.assign(steps=1.5 * hits["steps"],
                                                           steps_after=2 * hits["steps_after"]))
    result, parity = found(base, other)
    assert set(parity.loc[np.isfinite(parity["steps_a"]), "parity"]) == {DIFFER}
    assert parity["loss_change"].median() == pytest.approx(0.01)
    assert parity.loc[parity["steps_ratio"].between(0.1, 0.99), "steps_ratio"].median() == pytest.approx(1 / 1.5)
    to_target = result.cells[result.cells["quantity"].isin(TO_TARGET)]
    reached = to_target[np.isfinite(to_target["value_a"])]
    assert set(reached["verdict"]) == {""}
    assert set(reached["note"]) == {"losses or steps differ: not a matter of speed"}
    assert SLOWER not in words(result, PER_STEP)
    assert result.overall.set_index("quantity").loc["seconds_solo", "cells"] == 0


def test_rounding_is_no_other_loss(base, tmp_path):
    other = folders.write(tmp_path / "other", 4)
    folders.change(other, "lanes", lambda lanes: lanes.assign(final_loss=lanes["final_loss"] * (1 + 1e-6)))
    _, parity = found(base, other)
    assert set(parity["parity"]) == {AGREE}


def test_row_25_the_same_folder_twice_is_no_difference_seen_everywhere(base, tmp_path):
    result, parity = found(base, base)
    assert set(result.cells["verdict"]) == {SAME}
    assert set(result.overall["verdict"]) == {SAME}
    assert set(parity["parity"]) == {EQUAL}
    *remarks, headline = compare(base, base, tmp_path).lines
    assert headline.startswith("No difference seen: B reaches the target 1.00×")
    assert headline.endswith("(geometric mean over 2 cells).")  # that reach their headline target
    assert "Losses and steps to target of 18 (cell, target) pairs: 18 equal." in remarks  # of 6 cells


def test_one_is_said_in_the_singular(tmp_path):
    one = folders.write(tmp_path / "one", 1, plan=synthetic.Plan(problems=("p",), batch_sizes=(8,), starts=16,
                                                                 schedules=("linear",), rates=(0.1, 0.3)))
    *remarks, headline = compare(one, one, tmp_path / "out").lines
    assert "(geometric mean over 1 cell)" in headline
    assert "Losses and steps to target of 3 (cell, target) pairs: 3 equal." in remarks


def test_row_25_missing_cells_are_listed_and_the_others_compared(base, tmp_path):
    fewer = folders.write(tmp_path / "fewer", 5, plan=synthetic.Plan(
        problems=("p", "q"), batch_sizes=(1, 8, 32), schedules=("linear",), starts=16, rates=(0.1, 0.3),
        unfinished=(("p", 8),)))
    comparison = compare(base, fewer, tmp_path / "out")
    assert "Only in A: 1 cell, p, sgd, batch 8, linear." in comparison.lines
    cells = comparison.versus.cells
    assert cells[(cells["problem"] == "p") & (cells["batch_size"] == 8) & (cells["schedule"] != "")].empty
    assert len(cells[cells["problem"] == "q"])


def test_a_tail_beyond_all_floats_is_infinite_and_no_warning():
    logs = np.linspace(-2_000, 2_000, 10_000)  # as of a Student t with one degree of freedom
    assert _interval(logs) == (0.0, np.inf)  # a warning would be an error


def test_row_25_one_sample_is_too_few(base, tmp_path):
    one = folders.write(tmp_path / "one", 6, processes=1)
    folders.change(one, "timing", lambda timing: timing[(timing["quantity"] != "step") | (timing["repeat"] == 5)])
    result, _ = found(base, one)
    steps = result.cells[result.cells["quantity"].isin(PER_STEP)]
    assert set(steps["verdict"]) == {NOISY}
    assert set(steps["note"]) == {"too few samples (got 1, 6 are needed)"}


def test_one_sample_of_each_shows_no_slow_down_and_fails_no_gate(tmp_path):
    def once(name: str, seed: int, factor: float) -> Path:
        folder = folders.write(tmp_path / name, seed, factor=factor, processes=1)
        return folders.change(folder, "timing", lambda timing: timing[
            (timing["quantity"] != "step") | (timing["repeat"] == 5)])

    comparison = compare(once("one", 6, 1.0), once("two", 7, 2.0), tmp_path / "out")
    assert set(comparison.versus.overall["verdict"]) <= {NOISY, SAME}
    assert comparison.lines[-1].startswith("Too noisy to tell: B reaches the target 0.5")
    assert not comparison.slower_than(1.1)


def test_row_25_all_diverged_on_both_sides_is_a_tie_on_one_a_miss(base, tmp_path):
    def diverged(folder: Path) -> Path:
        folders.change(folder, "hits", lambda hits: hits.assign(hit=False, steps=np.nan, steps_after=np.nan))
        return folders.change(folder, "lanes", lambda lanes: lanes.assign(status="diverged", final_loss=np.inf))

    lost = [diverged(folders.write(tmp_path / name, seed)) for name, seed in (("x", 7), ("y", 8))]
    result, parity = found(*lost)
    assert set(words(result, TO_TARGET)) == {SAME}
    assert set(parity["parity"]) == {EQUAL}
    assert compare(*lost, tmp_path / "out").lines[-1].startswith("No cell reaches its target on both sides")
    _, parity = found(base, lost[0])
    assert DIFFER in set(parity["parity"])
    assert set(parity.loc[np.isfinite(parity["steps_a"]), "parity"]) == {DIFFER}


@pytest.mark.parametrize(("change", "field"), [
    (lambda run: run["config"].update(seed=1), "config.seed"),
    (lambda run: run["environment"].update(dtype="float64"), "environment.dtype"),
    (lambda run: run["environment"].update(matmul_precision="tf32"), "environment.matmul_precision"),
    (lambda run: run["problems"]["p"].update(data_sha256="other"), "problems.p.data_sha256"),
    (lambda run: run["problems"]["p"]["targets"][0].update(target=0.5), "problems.p.targets"),
    (lambda run: run.update(config={"claims": "all"}), "config.claims"),
])
def test_row_25_what_measured_something_else_is_refused(base, change, field):
    run = load(base).run
    other = json.loads(json.dumps(run))
    change(other)
    text, = refusals(run, other)
    assert text.startswith(f"{field}: ")


def test_a_refusal_is_exit_2_and_makes_no_folder(base, tmp_path):
    other = folders.manifest(folders.write(tmp_path / "other", 2), lambda run: run["config"].update(seed=1))
    with pytest.raises(NotComparable, match=r"config\.seed"):
        compare(base, other, tmp_path / "out")
    ended = CliRunner().invoke(cli, ["compare", str(base), str(other), "--out", str(tmp_path / "out")])
    assert ended.exit_code == 2
    assert "error: config.seed" in ended.output
    assert not (tmp_path / "out").exists()


def test_targets_that_devices_round_differently_are_the_same(base):
    run = load(base).run
    other = json.loads(json.dumps(run))
    other["problems"]["p"]["targets"][0]["target"] += 1e-5
    assert other != run and refusals(run, other) == []


def test_another_machine_is_said(base):
    run = load(base).run
    other = json.loads(json.dumps(run)) | {"environment": {**run["environment"], "affinity": [0], "cpu_model": "other"}}
    said = differences(run, other)
    assert said[0] == "different machine (processor: synthetic in A, other in B; cores it may use: None in A, [0] in B)"
    assert differences(run, run) == []


def test_what_is_written_is_what_was_found(base, tmp_path):
    odd = folders.write(tmp_path / "<script>alert(1)", 2)
    comparison = compare(base, odd, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "compare.csv", keep_default_na=False)
    assert list(table.columns) == COLUMNS
    assert len(table) == len(comparison.versus.cells)
    page = (tmp_path / "out" / "compare.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert comparison.lines[-1].split(" (")[0] in page
    assert (tmp_path / "out" / "figures" / "speed-up-target.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_is_no_run_is_refused(base, tmp_path):
    ended = CliRunner().invoke(cli, ["compare", str(base), str(tmp_path)])
    assert ended.exit_code == 4
    assert "run.json: not a readable manifest" in ended.output
