"""Huber regression against SciPy's Huber function and minimizer."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import huber

import gdjax


def test_the_optimum_is_that_of_scipy():
    problem = gdjax.problems.get("diabetes-huber")
    X, y = problem.data
    inputs = np.column_stack([X, np.ones(len(X))])

    def value_and_slope(weights):
        residuals = inputs @ weights - y
        return np.mean(huber(0.5, residuals)), inputs.T @ np.clip(residuals, -0.5, 0.5) / len(X)

    found = minimize(value_and_slope, np.zeros(11), jac=True, method="BFGS", options={"gtol": 1e-10})
    # a slope of 1e-10 over the least curvature, 4e-3, leaves 1e-18 of J
    assert np.linalg.norm(value_and_slope(found.x)[1]) < 1e-9
    assert problem.optimum == pytest.approx(found.fun, abs=problem.optimum_tolerance / 10)
    assert np.mean(np.abs(inputs @ found.x - y) > 0.5) == pytest.approx(0.48, abs=0.01)


def test_the_loss_is_a_parabola_inside_delta_and_a_line_outside():
    problem = gdjax.problems.huber_regression(np.eye(2), np.zeros(2), delta=2.0)
    params, x = {"w": jnp.array([1.0, 0.0]), "b": jnp.array(0.0)}, jnp.array([1.0, 0.0])
    outcomes = 1 - np.array([-5.0, -2.0, -1.0, 0.0, 1.0, 2.0, 5.0])  # residuals w·x − y
    value, slope = jax.vmap(lambda y: jax.value_and_grad(problem.loss)(params, (x, y)))(jnp.asarray(outcomes))
    assert value.tolist() == [8.0, 2.0, 0.5, 0.0, 0.5, 2.0, 8.0]
    assert slope["b"].tolist() == [-2.0, -2.0, -1.0, 0.0, 1.0, 2.0, 2.0]


@pytest.mark.parametrize("delta", [0.0, -1.0, np.nan, np.inf])
def test_a_delta_that_is_not_above_0_is_rejected(delta):
    with pytest.raises(ValueError, match="delta: must be a finite number above 0"):
        gdjax.problems.huber_regression(np.eye(3), np.arange(3.0), delta=delta)


def test_a_delta_that_is_no_number_is_rejected():
    with pytest.raises(TypeError, match=r"delta: must be a number \(got True\)"):
        gdjax.problems.huber_regression(np.eye(3), np.arange(3.0), delta=True)
