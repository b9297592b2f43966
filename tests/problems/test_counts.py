"""Poisson regression against scikit-learn's PoissonRegressor and the likelihood."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import poisson
from sklearn.linear_model import PoissonRegressor

import gdjax


def objective64(problem, params):
    with jax.enable_x64(True):
        params, data = jax.tree.map(jnp.asarray, (params, problem.data))
        value, slope = jax.value_and_grad(problem.objective)(params, data)
        return float(value), max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(slope))


def test_the_optimum_is_that_of_scikit_learn():
    problem = gdjax.problems.get("linnerud-poisson")
    X, y = problem.data
    model = PoissonRegressor(alpha=1e-3, solver="newton-cholesky", tol=1e-12).fit(X, y)
    value, slope = objective64(problem, {"w": model.coef_, "b": model.intercept_})
    # a slope of 1e-8 over the least curvature, 14, leaves 1e-17 of J; rounding of 170 is 3e-14
    assert slope < 1e-8
    assert value == pytest.approx(problem.optimum, abs=problem.optimum_tolerance / 10)


def test_the_objective_is_the_negative_log_likelihood_but_for_a_constant():
    problem = gdjax.problems.poisson_regression(np.array([[0.0], [1.0], [2.0]]), np.array([0, 1, 5]), ridge=0.0)

    def likelihood(w, b):
        return -np.mean(poisson.logpmf([0, 1, 5], np.exp(w * np.arange(3) + b)))

    constant = likelihood(0.7, -0.3) - objective64(problem, {"w": np.array([0.7]), "b": np.array(-0.3)})[0]
    assert constant == pytest.approx(np.log(120) / 3, rel=1e-12)  # mean of log y!
    other = objective64(problem, {"w": np.array([-0.2]), "b": np.array(0.5)})[0]
    assert likelihood(-0.2, 0.5) - other == pytest.approx(constant, rel=1e-12)


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ([1, -2, 3], r"counts: must be whole numbers of at least 0 \(got -2 at row 1; 1 in all\)"),
        ([0.5, 2, -1], r"counts: must be whole numbers of at least 0 \(got 0.5 at row 0, -1 at row 2; 2 in all\)"),
        ([0, 0, 0], r"counts: need one above 0 \(got 3 zeros\)"),
        ([1, np.nan, 3], "labels: must be finite"),
    ],
)
def test_outcomes_that_are_no_counts_are_rejected(counts, text):
    with pytest.raises(ValueError, match=text):
        gdjax.problems.poisson_regression(np.eye(3), np.array(counts))


def test_a_ridge_below_0_is_rejected():
    with pytest.raises(ValueError, match=r"ridge: must be a finite number of at least 0 \(got -1\)"):
        gdjax.problems.poisson_regression(np.eye(3), np.arange(3), ridge=-1)
