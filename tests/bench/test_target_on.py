"""Suites whose targets are on held-out examples: what is refused, what is measured, tuned by and told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pandas as pd
import pytest

import gdjax
from bench import pilot, suite_file, targets
from bench.analysis.answer import answers, headlines
from bench.analysis.curves import curve_quantiles
from bench.analysis.goals import Goal
from bench.analysis.noise_along import noise_along, with_noise_scale
from bench.analysis.reported import Reported
from bench.analysis.scaling import scaling_table
from bench.analysis.sentence import sentence
from bench.analysis.summary import summarise
from bench.bad_input import SuiteError
from bench.compare.differences import refusals
from bench.experiment import Group, measure
from bench.planning import facts_of, groups_of
from bench.report.critical import critical_figure
from bench.report.curves import curves_figure
from bench.report.grids import outcome_figure
from bench.report.report import write_report
from bench.report.scaling import seconds_figure, steps_figure
from bench.report.style import looks
from bench.suite import Suite, config_hash, suite_from
from bench.suite_fields import TargetOn
from bench.tables import load
from bench.target_on import NOUNS
from bench.targets import Pilot
from bench.tuning import choose
from tests.bench.report.folders import change, write_error

NAME = "digits-held-out"
SUITE = {"name": "held out", "problems": [NAME], "batch_sizes": [64], "schedules": ["constant", "linear"], "rates": 2,
         "horizons": [1.0], "tuning_starts": 2, "starts": 3, "epochs": 3.0, "min_steps": 10, "marks": 6, "width": 16,
         "widenings": 0, "problem": {NAME: {"target_on": "error", "targets": [0.05, 0.15]}}}
OF_ERRORS = {"target_on": "error", "targets": [0.05]}


def suite(**changed: object) -> Suite:
    return suite_from({**SUITE, **changed})


def planned(**changed: object) -> tuple[list[Group], list[str]]:
    return groups_of(suite(**changed), "cpu", lambda text: None)


@pytest.fixture(scope="module")
def measured() -> dict[str, pd.DataFrame]:
    (group,), errors = planned()
    assert errors == []
    return measure(group).tables


def test_hits_are_those_of_the_error_and_curves_hold_it(measured) -> None:
    hits, curves, lanes = (measured[name] for name in ("hits", "curves", "lanes"))
    keys = ["schedule", "rate", "horizon", "start"]
    least = curves.groupby(keys, as_index=False).score.min()
    reported = hits[hits.split == "reported"].merge(least, on=keys)
    assert (reported.hit == (reported.score <= reported.target + 1e-6)).all() and reported.hit.any()
    assert hits.gap.isna().all() and sorted(hits.target.unique()) == [0.05, 0.15]
    last = curves.sort_values("step").groupby(keys, as_index=False).last().merge(
        lanes[lanes.split == "reported"], on=keys)
    assert np.allclose(last.score, 1 - last.accuracy, atol=1e-6)
    assert not np.allclose(last.score, last.loss)


def test_the_setting_is_tuned_by_the_error(measured) -> None:
    tuning = {name: measured[name][measured[name].split == "tuning"] for name in ("lanes", "hits")}
    for row in measured["chosen"].itertuples():
        mine = tuning["hits"][(tuning["hits"].schedule == row.schedule) & (tuning["hits"].target == row.target)]
        cost = mine.groupby("rate").agg(spent=("steps_spent", "sum"), hits=("hit", "sum"))
        cost["ert"] = np.where(cost.hits > 0, cost.spent / np.maximum(cost.hits, 1), np.inf)
        if np.isfinite(cost.ert).any():
            assert row.rate == cost.ert.idxmin()


def test_without_a_hit_the_lowest_median_error_is_chosen_and_a_diverged_lane_is_the_worst() -> None:
    """Loss and error disagree on which rate is best; at rate 0.3 two of three starts diverged."""
    lanes = pd.DataFrame({"schedule": "constant", "horizon": 1.0, "rate": np.repeat([0.1, 0.2, 0.3], 3),
                          "final_loss": [1, 1, 1, 2, 2, 2, 0.1, np.inf, np.inf],
                          "held_out_loss": [4, 4, 4, 3, 3, 3, 0.1, np.inf, np.inf],
                          "accuracy": [0.5, 0.5, 0.5, 0.6, 0.6, 0.6, 1.0, np.nan, np.nan]})
    hits = lanes.assign(target=0.1, gap=np.nan, hit=False, steps_spent=10)
    best = {on: choose(lanes, hits, on).rate.item() for on in gdjax.goals.KINDS}
    assert best == {"loss": 0.1, "held_out_loss": 0.2, "error": 0.2}


@pytest.mark.parametrize(("changed", "text"), [
    ({"problem": {}, "target_on": "error"}, "gaps are of the loss, not of target_on = 'error' (got no targets)"),
    ({"problem": {}, "target_on": "held_out_loss", "problems": ["digits-softmax"]}, "holds no examples out"),
    ({"problems": ["line-fit"], "batch_sizes": [10], "problem": {"line-fit": OF_ERRORS}}, "has no accuracy"),
    ({"problem": {NAME: {"target_on": "error", "targets": [95.0]}}}, "must be shares from 0 to 1 (got 95)"),
])
def test_targets_that_a_problem_cannot_have_are_refused_at_the_plan(changed, text) -> None:
    _, (error,) = planned(**changed)
    assert error.startswith("problems[0]: ") and text in error


def test_the_suite_says_what_targets_are_on_and_a_problem_may_say_it_for_itself() -> None:
    with pytest.raises(SuiteError, match=r"problem.digits-held-out.target_on: .*'accuracy'"):
        suite(problem={NAME: {"target_on": "accuracy"}})
    whole = suite(problem={}, target_on="held_out_loss")
    assert whole.settings_for(NAME).target_on == "held_out_loss"
    assert suite(target_on="held_out_loss").settings_for(NAME).target_on == "error"
    (group,), _ = planned()
    facts = facts_of([group], [group])[NAME]
    assert (facts["target_on"], facts["held_out_examples"]) == ("error", 359)
    plain = suite(problem={})
    older = {key: value for key, value in plain.config().items() if key != "target_on"}
    assert config_hash(suite_from(older)) == config_hash(plain) != config_hash(whole)


def test_the_words_are_the_same_everywhere() -> None:
    assert get_args(TargetOn) == tuple(NOUNS) == gdjax.goals.KINDS


def test_other_held_out_examples_are_other_data_where_targets_are_on_them() -> None:
    problem = gdjax.problems.get(NAME)
    other = replace(problem, held_out=(problem.held_out[0], (problem.held_out[1] + 1) % 10))

    def told(of: gdjax.Problem, **changed: object) -> object:
        (group,), _ = planned(**changed)
        group = replace(group, problem=of)
        return facts_of([group], [group])[NAME]["data_sha256"]

    assert told(problem) != told(other)
    assert told(problem, problem={}) == told(other, problem={}) == gdjax.data.fingerprint(problem.data)


def test_runs_whose_targets_are_on_something_else_are_not_compared() -> None:
    on_loss = {"config": {"seed": 0}, "problems": {"p": {"targets": [{"target": 0.1, "gap": None}]}}}
    on_error = {"config": {"seed": 0, "target_on": "error"},
                "problems": {"p": {"target_on": "error", "targets": [{"target": 0.1, "gap": None}]}}}
    texts = refusals(on_loss, on_error)
    assert [text.split(":")[0] for text in texts] == ["config.target_on", "problems.p.targets"]
    assert "(got loss in A, error in B)" in texts[0] and "{'error': [0.1]}" in texts[1]
    newer = {"config": {"seed": 0, "target_on": "loss"},
             "problems": {"p": {"target_on": "loss", "targets": [{"target": 0.1, "gap": None}]}}}
    assert refusals(on_loss, newer) == [], "a run from before there was a choice"


def test_the_report_tells_of_errors(tmp_path: Path) -> None:
    folder = write_error(tmp_path / "run")
    tables = load(folder)
    summary = summarise(tables)
    assert set(summary.target_on) == {"error"}
    (answer,) = headlines(answers(tables, summary))
    assert f" gets the error to at most {100 * answer.target:.2g} % in " in sentence(answer)
    curve = curve_quantiles(Reported(tables), summary.iloc[0])
    assert curve["median"].iloc[0] == pytest.approx(0.9), "the error at the start, not the loss, which is 5 above it"
    write_report(folder)
    for name in ("report.md", "report.html"):
        text = (folder / name).read_text()
        assert "reaches the target soonest" in text and "target loss" not in text
        assert "error (share classified wrongly) of 359 held-out examples" in text
        assert "error at most 9 %" in text and "initial gap" not in text
    assert "Error against epochs." in (folder / "report.md").read_text()


def test_pictures_say_what_targets_are_on(tmp_path: Path) -> None:
    tables = load(write_error(tmp_path / "run"))
    summary = summarise(tables)
    styles, reported = looks(sorted(summary.schedule.unique())), Reported(tables)
    fits = scaling_table(reported, summary)
    row = summary[summary.target == summary.target.max()].iloc[0]
    figures = [steps_figure(summary, "p", styles), seconds_figure(summary, "p", styles),
               critical_figure(fits, "p", styles), outcome_figure(summary[summary.target == row.target], "p"),
               curves_figure(*[[(row, curve_quantiles(reported, row))]] * 2, "p", [], np.nan, styles, Goal.of(row))]
    said = [[*(text.get_text() for text in figure.texts), *(axes.get_title(loc="left") for axes in figure.axes),
             *(axes.get_ylabel() for axes in figure.axes)] for figure in figures]
    for texts in said:
        assert any("error" in text for text in texts) and not any("loss" in text for text in texts), texts
    assert "… at most 9 %" in said[0] and "p: steps until the error is …" in said[0]
    assert "at most 9 %" in said[2] and "p: how many starts got the error to at most 9 %" in said[3]
    assert "error (share classified wrongly)" in said[4]


def test_a_noise_scale_along_the_loss_is_never_placed_at_a_target_on_the_error(tmp_path: Path) -> None:
    tables = load(write_error(tmp_path / "run"))
    scaling = scaling_table(Reported(tables), summarise(tables))
    noise = pd.DataFrame({"problem": "digits-softmax", "optimizer": "sgd", "device": "cpu", "batch_size": 32,
                          "schedule": "constant", "start": 0, "step": [0, 1], "loss": [0.5, 0.001], "b_simple": 9.0,
                          "method": "exact", "examples": 1797})
    found = noise_along(noise, scaling)
    (along,) = found.values()
    assert np.isnan(along.target)
    assert with_noise_scale(scaling, found)["b_simple_target"].isna().all()
    on_loss = scaling.assign(target_on="loss")
    assert with_noise_scale(on_loss, noise_along(noise, on_loss))["b_simple_target"].notna().any()


@pytest.mark.parametrize(("goal", "words", "phrase", "got"), [
    (Goal(0.3, 0.01), "within 1 % of the initial gap", "loss within 1 % of the initial gap",
     "the loss within 1 % of the initial gap"),
    (Goal(0.2), "at most 0.2", "loss at most 0.2", "the loss to at most 0.2"),
    (Goal(0.2, on="held_out_loss"), "held-out loss at most 0.2", "held-out loss at most 0.2",
     "the held-out loss to at most 0.2"),
    (Goal(0.0025, on="error"), "error at most 0.25 %", "error at most 0.25 %", "the error to at most 0.25 %"),
])
def test_a_goal_in_words(goal, words, phrase, got) -> None:
    assert (goal.words, goal.phrase, goal.got) == (words, phrase, got)
    assert Goal.of({"target": 0.2}) == Goal.of(pd.Series({"target": 0.2})) and Goal.of({"target": 0.2}).on == "loss"


def test_a_pilot_finds_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pilot.device, "open_device", lambda *_: SimpleNamespace(trouble="", warning=""))
    monkeypatch.setattr(pilot.warnings, "showwarning", pilot.warnings.showwarning)
    asked = targets.check(NAME, "cpu", 64, 0.5, 4.0, 3, "25,100", 0, "error")
    said: list[dict[str, object]] = []
    pilot.main(SimpleNamespace(send=said.append, poll=lambda: False), {"request": asked})  # type: ignore[arg-type]
    found = Pilot(**said[-1]["facts"])  # type: ignore[arg-type]
    runs = gdjax.minibatch(gdjax.problems.get(NAME), batch_size=64, rates=0.5, starts=3, key=pilot.pilot_key(0),
                           max_steps=found.steps[-1])
    assert found.scores[-1] == pytest.approx(np.median(1 - runs.scores["accuracy"]), abs=1e-6)
    assert found.start_score > found.scores[0] > found.scores[1]
    assert "median errors (1 − accuracy) of 3 starts" in " ".join(targets.lines_of(asked, found, [0.1]))
    lost = replace(asked, target_on="held_out_loss", problem="digits-softmax")
    pilot.main(SimpleNamespace(send=said.append, poll=lambda: False), {"request": lost})  # type: ignore[arg-type]
    assert said[-1]["code"] == 2 and "holds no examples out" in str(said[-1]["text"])


def test_a_suite_says_what_the_targets_of_a_pilot_are_on(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f"name = 'x'\nproblems = ['{NAME}']\nbatch_sizes = [8]\nschedules = ['linear']\n"
                    "target_on = 'error'\n")
    assert suite_file.check(str(file), NAME, False, "error").settings_for(NAME).target_on == "error"
    with pytest.raises(SuiteError, match=r"--on: targets of digits-held-out are on error in .*\(got 'loss'\)"):
        suite_file.check(str(file), NAME, False, "loss")


def test_a_run_from_before_there_was_a_choice_is_read(tmp_path: Path) -> None:
    """Older run folders have neither the fact nor the column: targets are on the loss."""
    folder = write_error(tmp_path / "run")
    run = json.loads((folder / "run.json").read_text())
    for entry in run["problems"].values():
        del entry["target_on"]
    (folder / "run.json").write_text(json.dumps(run))
    change(folder, "curves", lambda rows: rows.drop(columns="score"))
    tables = load(folder)
    assert len(tables.curves) and tables.curves.score.isna().all() and not tables.run["warnings"]
    assert set(summarise(tables).target_on) == {"loss"}
