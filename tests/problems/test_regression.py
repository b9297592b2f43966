"""Linear and ridge regression against closed forms and scikit-learn."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from sklearn.linear_model import LinearRegression, Ridge

import gdjax


def test_diabetes_is_the_least_squares_of_scikit_learn():
    problem = gdjax.problems.get("diabetes-linear")
    X, y = problem.data
    model = LinearRegression().fit(X, y)
    assert problem.optimum == pytest.approx(np.mean((model.predict(X) - y) ** 2) / 2, rel=1e-12)
    # 1 − 2 f* is R², 0.5177 in the literature
    assert 1 - 2 * problem.optimum == pytest.approx(0.5177, abs=1e-4)
    assert problem.minimizer["w"] == pytest.approx(model.coef_, rel=1e-9)


def test_collinear_features_still_have_a_minimum():
    x = np.arange(5.0)
    problem = gdjax.problems.linear_regression(np.column_stack([x, x]), 4 * x + 1)
    assert problem.optimum == pytest.approx(0, abs=1e-20)
    assert problem.minimizer["w"] == pytest.approx(np.array([2.0, 2.0]))
    assert problem.minimizer["b"] == pytest.approx(1.0)


def test_a_constant_feature_is_no_obstacle():
    X = np.column_stack([np.ones(4), [0.0, 1.0, 2.0, 3.0]])
    problem = gdjax.problems.linear_regression(gdjax.data.standardise(X), np.array([0.0, 1.0, 2.0, 3.0]))
    assert problem.minimizer["w"][0] == 0.0
    assert problem.optimum == pytest.approx(0, abs=1e-20)


def curvatures(problem):
    """Eigenvalues of the Hessian at the minimizer, ascending."""
    with jax.enable_x64(True):
        place, as_params = ravel_pytree(jax.tree.map(jnp.asarray, problem.minimizer))
        data = jax.tree.map(jnp.asarray, problem.data)
        return np.linalg.eigvalsh(jax.jit(jax.hessian(lambda at: problem.objective(as_params(at), data)))(place))


@pytest.mark.parametrize(
    ("name", "condition"), [("diabetes-linear", 470), ("diabetes-raw", 5.2e7), ("diabetes-ridge", 38)]
)
def test_condition_numbers_are_those_of_the_docstrings(name, condition):
    found = curvatures(gdjax.problems.get(name))
    assert found[-1] / found[0] == pytest.approx(condition, rel=0.01)
    # the Hessian of a mean of ½(w·x + b − y)² is the second moment of (x, 1), plus λ on w
    X, _ = gdjax.problems.get(name).data
    inputs = np.column_stack([np.ones(len(X)), X])
    ridge = 0.1 if name == "diabetes-ridge" else 0.0
    moment = inputs.T @ inputs / len(X) + ridge * np.diag([0.0] + [1.0] * X.shape[1])
    assert found == pytest.approx(np.linalg.eigvalsh(moment), rel=1e-6)


def test_raw_and_standardised_features_have_one_minimum_and_one_fit():
    raw, scaled = gdjax.problems.get("diabetes-raw"), gdjax.problems.get("diabetes-linear")
    assert raw.optimum == pytest.approx(scaled.optimum, rel=1e-12)
    assert raw.minimizer["w"] * raw.data[0].std(axis=0) == pytest.approx(scaled.minimizer["w"], rel=1e-9)


def test_ridge_is_that_of_scikit_learn():
    problem = gdjax.problems.get("diabetes-ridge")
    X, y = problem.data
    model = Ridge(alpha=0.1 * len(X)).fit(X, y)
    assert problem.minimizer["w"] == pytest.approx(model.coef_, rel=1e-9)
    assert problem.minimizer["b"] == pytest.approx(model.intercept_, abs=1e-12)
    value = np.mean((model.predict(X) - y) ** 2) / 2 + 0.05 * np.sum(model.coef_**2)
    assert problem.optimum == pytest.approx(value, rel=1e-12)


def test_ridge_of_0_is_least_squares_and_a_great_one_leaves_only_the_mean():
    X, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20.0)
    assert gdjax.problems.ridge_regression(X, y, ridge=0.0).optimum == pytest.approx(
        gdjax.problems.linear_regression(X, y).optimum, rel=1e-12)
    flat = gdjax.problems.ridge_regression(X, y, ridge=1e12)
    assert flat.minimizer["b"] == pytest.approx(9.5, abs=1e-9)
    # ½ the variance of 0…19: (20² − 1)/12/2
    assert flat.optimum == pytest.approx(399 / 24, rel=1e-9)


@pytest.mark.parametrize("ridge", [-1.0, np.nan, np.inf])
def test_a_ridge_below_0_is_rejected(ridge):
    with pytest.raises(ValueError, match=r"ridge: must be a finite number of at least 0 \(got (-1|nan|inf)"):
        gdjax.problems.ridge_regression(np.eye(3), np.arange(3.0), ridge=ridge)
