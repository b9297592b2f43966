"""Regression problems against scikit-learn, closed forms and Newton's method in float64."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

import gdjax

TOLERANCE = 1e-12  # of Newton's method, on the norm of the gradient


def newton_softmax(X: np.ndarray, y: np.ndarray, classes: int, ridge: float) -> float:
    """Smallest mean cross entropy + (λ/2)‖W‖² over weights and free intercepts, found to a gradient norm of 1e-12."""
    n, dim = len(X), X.shape[1] + 1
    inputs = np.column_stack([X, np.ones(n)])
    truth = np.eye(classes)[y]
    weights = np.zeros((classes, dim))
    penalty = np.tile(np.append(np.full(dim - 1, ridge), 0.0), classes)
    # adding one number to every intercept changes nothing: this direction has no curvature of its own
    level = np.tile(np.append(np.zeros(dim - 1), 1.0), classes)
    for _ in range(50):
        scores = inputs @ weights.T
        scores -= scores.max(axis=1, keepdims=True)
        chances = np.exp(scores)
        chances /= chances.sum(axis=1, keepdims=True)
        slope = ((chances - truth).T @ inputs / n).ravel() + penalty * weights.ravel()
        if np.linalg.norm(slope) <= TOLERANCE:
            likelihood = np.log(np.exp(scores).sum(axis=1)) - (scores * truth).sum(axis=1)
            return float(likelihood.mean() + 0.5 * penalty @ weights.ravel() ** 2)
        # Σ (diag(p) − p pᵀ) ⊗ x xᵀ / n over the examples
        pulls = (chances[:, :, None] * inputs[:, None, :]).reshape(n, -1)
        curvature = np.diag(penalty) + np.outer(level, level) - pulls.T @ pulls / n
        for k in range(classes):
            block = slice(k * dim, (k + 1) * dim)
            curvature[block, block] += pulls[:, block].T @ inputs / n
        weights -= np.linalg.solve(curvature, slope).reshape(classes, dim)
    raise AssertionError("Newton's method did not reach a gradient norm of 1e-12 in 50 steps")


def newton_logistic(X: np.ndarray, y: np.ndarray, ridge: float) -> float:
    """Smallest mean log(1 + exp(z)) − y z + (λ/2)‖w‖², z = w·x + b, found to a gradient norm of 1e-12."""
    n, dim = len(X), X.shape[1] + 1
    inputs = np.column_stack([X, np.ones(n)])
    weights = np.zeros(dim)
    penalty = np.append(np.full(dim - 1, ridge), 0.0)
    for _ in range(50):
        scores = inputs @ weights
        chances = 1 / (1 + np.exp(-scores))
        slope = inputs.T @ (chances - y) / n + penalty * weights
        if np.linalg.norm(slope) <= TOLERANCE:
            return float(np.mean(np.logaddexp(0, scores) - y * scores) + 0.5 * penalty @ weights**2)
        curvature = (inputs * (chances * (1 - chances) / n)[:, None]).T @ inputs + np.diag(penalty)
        weights -= np.linalg.solve(curvature, slope)
    raise AssertionError("Newton's method did not reach a gradient norm of 1e-12 in 50 steps")


def objective64(problem, params):
    with jax.enable_x64(True):
        return float(problem.objective(jax.tree.map(jnp.asarray, params), jax.tree.map(jnp.asarray, problem.data)))


def fitted(problem):
    """scikit-learn's weights of the same objective: C = 1/(nλ), its penalty not on the intercept."""
    X, y = problem.data
    return LogisticRegression(C=1 / (len(X) * 1e-3), tol=1e-10, solver="newton-cholesky").fit(X, y)


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


def test_cancer_optimum_is_that_of_newton_and_scikit_learn():
    problem = gdjax.problems.get("cancer-logistic")
    X, y = problem.data
    assert problem.optimum == pytest.approx(newton_logistic(X, y, 1e-3), abs=2e-14)
    model = fitted(problem)
    reached = objective64(problem, {"w": model.coef_[0], "b": model.intercept_[0]})
    assert 0 <= reached - problem.optimum + 1e-14 < 1e-9 * problem.optimum


def test_digits_optimum_is_that_of_newton_and_scikit_learn():
    problem = gdjax.problems.get("digits-softmax")
    X, y = problem.data
    assert problem.optimum == pytest.approx(newton_softmax(X, y, 10, 1e-3), abs=2e-14)
    model = fitted(problem)
    reached = objective64(problem, {"W": model.coef_, "b": model.intercept_})
    assert 0 <= reached - problem.optimum + 1e-14 < 1e-8 * problem.optimum


def test_two_class_softmax_is_logistic_regression_of_half_the_difference():
    # W = ±w/2: the penalty halves, so ridge λ on W equals ridge λ/2 on w
    X, y = gdjax.problems.get("cancer-logistic").data
    w, b = np.random.default_rng(1).normal(size=30), 0.3
    logistic = gdjax.problems.logistic_regression(X, y, ridge=0.05)
    softmax = gdjax.problems.softmax_regression(X, y, ridge=0.1)
    halves = {"W": np.stack([-w / 2, w / 2]), "b": np.array([-b / 2, b / 2])}
    assert objective64(softmax, halves) == pytest.approx(objective64(logistic, {"w": w, "b": b}), rel=1e-12)


def test_large_scores_do_not_overflow():
    X, y = np.array([[1.0], [-1.0]]), np.array([0, 1])
    logistic = gdjax.problems.logistic_regression(X, y, ridge=0.0)
    softmax = gdjax.problems.softmax_regression(X, y, ridge=0.0)
    # every example is wrong by a score of 1,000
    assert float(logistic.loss({"w": jnp.array([1000.0]), "b": 0.0}, (jnp.ones(1), 0))) == 1000.0
    params = {"W": jnp.array([[-500.0], [500.0]]), "b": jnp.zeros(2)}
    loss, slope = jax.value_and_grad(softmax.loss)(params, (jnp.ones(1), 0))
    assert float(loss) == 1000.0
    assert slope["W"].ravel().tolist() == [-1.0, 1.0]


def test_a_constant_feature_is_no_obstacle():
    X = np.column_stack([np.ones(4), [0.0, 1.0, 2.0, 3.0]])
    problem = gdjax.problems.linear_regression(gdjax.data.standardise(X), np.array([0.0, 1.0, 2.0, 3.0]))
    assert problem.minimizer["w"][0] == 0.0
    assert problem.optimum == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize(
    "build", [gdjax.problems.softmax_regression, gdjax.problems.logistic_regression, gdjax.problems.one_hidden_layer]
)
def test_bad_labels_features_and_ridge_are_rejected_by_every_classifier(build):
    X = np.arange(8.0).reshape(4, 2)
    with pytest.raises(ValueError, match=r"labels: must be whole numbers from 0 to 1 .got -1 at row 1"):
        build(X, np.array([0, -1, 1, 1]))
    with pytest.raises(ValueError, match="at least two classes"):
        build(X, np.zeros(4))
    with pytest.raises(ValueError, match="as many as the rows"):
        build(X, np.array([0, 1]))
    with pytest.raises(ValueError, match=r"ridge: must be a finite number of at least 0 \(got -1\)"):
        build(X, np.array([0, 1, 0, 1]), ridge=-1)


def test_classes_may_exceed_the_labels_seen():
    X, y = np.eye(3), np.array([0, 1, 1])
    assert gdjax.problems.softmax_regression(X, y, classes=4).start(jax.random.key(0))["W"].shape == (4, 3)
    with pytest.raises(ValueError, match=r"from 0 to 1 .got 2 at row 2"):
        gdjax.problems.softmax_regression(X, np.array([0, 1, 2]), classes=2)
