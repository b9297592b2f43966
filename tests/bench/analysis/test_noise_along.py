"""The noise scale along a trajectory, worked out by hand, beside fits that are given."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from bench.analysis.noise_along import COLUMNS, NoiseAlong, noise_along, noise_curve, with_noise_scale
from bench.report.noise_words import noise_sentences

LOSSES = {0: [5.0, 4.0, 3.0], 10: [1.0, 1.5, 2.0], 100: [0.3, 0.2, math.inf]}
SCALES = {0: [2.0, 1.0, 4.0], 10: [20.0, 30.0, 10.0], 100: [500.0, 700.0, math.nan]}
FITS = pd.DataFrame({
    "problem": "p", "optimizer": "sgd", "device": "cpu", "target_on": "loss", "gap": [0.3, 0.1, 0.01, 0.3, 0.1],
    "target": [1.6, 0.4, 0.1, 1.6, 0.4], "schedule": ["linear"] * 3 + ["constant"] * 2,
    "b_crit": [8.0, 40.0, 90.0, 7.0, 30.0], "b_crit_low": 5.0, "b_crit_high": math.inf})


def rows(scales: dict[int, list[float]] | None = None, problem: str = "p") -> pd.DataFrame:
    """The table of three starts at three marks."""
    return pd.concat([pd.DataFrame({
        "problem": problem, "optimizer": "sgd", "batch_size": 8, "schedule": "linear", "device": "cpu",
        "start": range(3), "step": step, "loss": LOSSES[step], "b_simple": values, "method": "exact", "examples": 100})
        for step, values in (scales or SCALES).items()], ignore_index=True)


def only() -> NoiseAlong:
    (along,) = noise_along(rows(), FITS).values()
    return along


def test_the_curve_is_of_medians_and_a_diverged_start_counts_in_the_loss_alone() -> None:
    curve = noise_curve(rows())
    assert curve["step"].tolist() == [0, 10, 100]
    assert curve["starts"].tolist() == [3, 3, 2]
    assert curve["b_simple"].tolist() == [2.0, 20.0, 600.0]
    assert curve["loss"].tolist() == [4.0, 1.5, 0.3]
    assert curve.loc[1, ["low", "high"]].tolist() == [10.0, 30.0]  # a third of the resamples has each as its median


def test_beside_it_stands_the_fit_to_the_hardest_target_met_with_its_own_schedule() -> None:
    assert (only().target, only().gap, only().b_crit) == (0.4, 0.1, (40.0, 5.0, math.inf))
    without = noise_along(rows(), FITS[FITS["schedule"] == "constant"])
    assert math.isnan(without["p", "sgd", "cpu"].b_crit.value)


def test_a_trajectory_without_a_finite_noise_scale_is_left_out() -> None:
    table = pd.concat([rows(), rows({0: [math.inf, math.inf, math.nan]}, problem="q")])
    assert list(noise_along(table, FITS)) == [("p", "sgd", "cpu")]
    assert noise_along(rows().iloc[:0], FITS) == {}


def test_the_scaling_table_has_it_at_the_start_and_at_the_first_mark_that_met_the_target() -> None:
    fits = pd.concat([FITS, FITS.iloc[:1].assign(problem="q")])  # an index that is not unique
    found = with_noise_scale(fits.reset_index(drop=True), noise_along(rows(), FITS))
    assert found["b_simple_start"].tolist()[:5] == [2.0] * 5
    assert found["b_simple_target"].tolist()[:2] == [20.0, 600.0]
    assert found["b_simple_target"].tolist()[3:5] == [20.0, 600.0]
    assert math.isnan(found["b_simple_target"][2])  # no mark met 0.1
    assert found.loc[5, COLUMNS].isna().all()
    assert found["b_simple_target_low"][0] == 10.0 and found["b_simple_target_high"][0] == 30.0


def test_without_a_noise_scale_the_scaling_table_has_empty_columns() -> None:
    found = with_noise_scale(FITS, {})
    assert list(found.columns) == [*FITS.columns, *COLUMNS]
    assert np.isnan(found[COLUMNS].to_numpy()).all()


def many(scales: dict[int, list[float]], times: int = 2) -> pd.DataFrame:
    """The table with every start so many times over."""
    return pd.concat([rows(scales)] * times, ignore_index=True)


@pytest.mark.parametrize(("several", "name"), [(False, "p on cpu"), (True, "p (sgd) on cpu")])
def test_the_sentence_says_from_where_to_where_and_what_was_fitted(several: bool, name: str) -> None:
    table = many(SCALES, 4)
    table = pd.concat([table, table.assign(optimizer="adam")]) if several else table
    said = noise_sentences(noise_along(table, FITS).values())[-1]
    assert said == (f"{name}: the gradient noise scale grows from 2 [1, 4] to 600 [500, 700] examples along the run "
                    "(batch 8 with linear decay, 100 steps, 12 starts, 8 at the end, exact); the fitted critical batch "
                    "size to get the loss within 10 % of the initial gap is 40 [5, ∞].")


def test_the_sentence_says_where_it_falls_and_where_nothing_was_fitted() -> None:
    said = noise_sentences(noise_along(many({0: [9.0] * 3, 10: [3.0] * 3}), FITS.iloc[:0]).values())
    assert "falls from 9 [9, 9] to 3 [3, 3]" in said[0] and "no critical batch size could be fitted" in said[0]


@pytest.mark.parametrize(("times", "starts"), [(1, "3 starts, 1 at the end"), (2, "6 starts, 2 at the end")])
def test_few_starts_at_an_end_tell_of_no_change(times: int, starts: str) -> None:
    said = noise_sentences(noise_along(many({0: [1.0] * 3, 10: [9.0, math.nan, math.nan]}, times), FITS).values())
    assert ("goes from 1 [1, 1] to 9 [9, 9] examples (whether that is a change takes 6 starts at both ends) along the "
            f"run (batch 8 with linear decay, 10 steps, {starts}, exact)") in said[0]


def test_the_sentence_tells_of_no_change_that_the_intervals_do_not_show() -> None:
    said = noise_sentences(noise_along(many({0: [9.0, 5.0, 13.0], 10: [8.0, 4.0, 12.0]}), FITS).values())
    assert "goes from 9 [5, 13] to 8 [4, 12] examples (no change seen: the intervals overlap) along the run" in said[0]
    said = noise_sentences(noise_along(many({0: [9.0] * 3, 10: [math.nan] * 3}), FITS).values())
    assert "is 9 [9, 9] examples at the start, and none at the end (no start has one there) along the run" in said[0]
