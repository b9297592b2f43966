"""The squared hinge against SciPy's minimizer and LinearSVC."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.svm import LinearSVC

import gdjax


def test_the_optimum_is_that_of_scipy_and_just_below_linear_svc():
    problem = gdjax.problems.get("cancer-hinge")
    X, y = problem.data
    inputs, signs = np.column_stack([X, np.ones(len(X))]), 2 * y - 1
    penalty = np.append(np.full(30, 1e-3), 0.0)

    def value_and_slope(weights):
        short = np.maximum(0, 1 - signs * (inputs @ weights))
        return np.mean(short**2) + 0.5 * penalty @ weights**2, inputs.T @ (-2 * signs * short) / len(X) + (
            penalty * weights)

    found = minimize(value_and_slope, np.zeros(31), jac=True, method="BFGS", options={"gtol": 1e-10, "maxiter": 5000})
    # a slope of 1e-8 over the least curvature, 1e-3, leaves 1e-13 of J
    assert np.linalg.norm(value_and_slope(found.x)[1]) < 1e-8
    assert problem.optimum == pytest.approx(found.fun, abs=problem.optimum_tolerance / 5)
    # LinearSVC penalises its intercept too, here by 1e-3/1000² b²/2
    model = LinearSVC(C=1 / (len(X) * 1e-3), intercept_scaling=1000, dual=False, tol=1e-10, max_iter=10_000).fit(X, y)
    reached, _ = value_and_slope(np.append(model.coef_[0], model.intercept_[0]))
    assert -1e-14 < reached - problem.optimum < 1e-7
