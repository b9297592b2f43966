"""Logistic and softmax regression against scikit-learn and Newton's method in float64."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, logsumexp
from sklearn.linear_model import LogisticRegression

import gdjax
from gdjax.problems import parts

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


@pytest.mark.parametrize(("name", "classes"), [("iris-softmax", 3), ("digits-held-out", 10)])
def test_softmax_optima_are_those_of_newton(name, classes):
    problem = gdjax.problems.get(name)
    X, y = problem.data
    assert problem.optimum == pytest.approx(newton_softmax(X, y, classes, 1e-3), abs=problem.optimum_tolerance / 10)


def test_held_out_digits_are_a_fifth_of_all_and_none_is_trained_on():
    problem, whole = gdjax.problems.get("digits-held-out"), gdjax.problems.get("digits-softmax")
    (X, y), (X_held, y_held) = problem.data, problem.held_out
    assert (len(X), len(X_held)) == (1438, 359)  # 359 = round(1797/5)
    both = np.column_stack([np.vstack([X, X_held]), np.append(y, y_held)])
    all_ = np.column_stack(whole.data)
    assert np.array_equal(both[np.lexsort(both.T)], all_[np.lexsort(all_.T)])
    assert np.array_equal(X_held[0], whole.data[0][np.random.default_rng(0).permutation(1797)[0]])
    # scikit-learn's fit of the training part: the minimum's accuracy on digits it has not seen is 346 of 359
    model = fitted(problem)
    params = {"W": jnp.asarray(model.coef_), "b": jnp.asarray(model.intercept_)}
    held = (jnp.asarray(X_held), jnp.asarray(y_held))
    assert float(problem.accuracy(params, held)) == pytest.approx(model.score(X_held, y_held), abs=1e-6)
    assert round(359 * model.score(X_held, y_held)) == 346


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


@pytest.mark.parametrize(
    "build",
    [gdjax.problems.softmax_regression, gdjax.problems.logistic_regression, gdjax.problems.squared_hinge_regression,
     gdjax.problems.one_hidden_layer, gdjax.problems.two_hidden_layers],
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
    with pytest.raises(TypeError, match=r"ridge: must be a number \(got '1'\)"):
        build(X, np.array([0, 1, 0, 1]), ridge="1")


def test_classes_may_exceed_the_labels_seen():
    X, y = np.eye(3), np.array([0, 1, 1])
    assert gdjax.problems.softmax_regression(X, y, classes=4).start(jax.random.key(0))["W"].shape == (4, 3)
    with pytest.raises(ValueError, match=r"from 0 to 1 .got 2 at row 2"):
        gdjax.problems.softmax_regression(X, np.array([0, 1, 2]), classes=2)
    with pytest.raises(TypeError, match=r"classes: must be a whole number of at least 2 \(got 2.5\)"):
        gdjax.problems.softmax_regression(X, y, classes=2.5)
    with pytest.raises(ValueError, match=r"classes: must be at most 2,147,483,647 \(got 1,000,000,000,001\)"):
        gdjax.problems.softmax_regression(X, np.array([0, 1, 10**12]))


@pytest.mark.parametrize("examples", [1, 3, 4, 8, 16, 17, 40])
def test_the_logarithm_of_a_sum_of_exponentials_is_exact_at_any_batch_size(examples: int) -> None:
    scores = np.random.default_rng(examples).normal(scale=30, size=(10, examples)).astype(np.float32)
    exact = scores.astype(np.float64)
    np.testing.assert_allclose(parts.log_sum_exp(scores), logsumexp(exact, axis=0), rtol=3e-7)
    chances = jax.grad(lambda scores: parts.log_sum_exp(scores).sum())(jnp.asarray(scores))
    np.testing.assert_allclose(chances, np.exp(exact - logsumexp(exact, axis=0)), rtol=3e-6, atol=1e-30)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("examples", [4, 16, 17])
def test_a_score_that_is_no_number_is_seen_in_its_own_example(wrong: float, examples: int) -> None:
    scores = np.ones((10, examples), np.float32)
    scores[3, 1] = wrong
    assert np.isfinite(parts.log_sum_exp(scores)).tolist() == [number != 1 for number in range(examples)]


def test_exponentials_in_short_vectors_are_as_exact_as_the_number_format() -> None:
    z = np.concatenate([np.linspace(-87, 0, 100_001), -np.geomspace(1e-8, 87, 10_001)]).astype(np.float32)
    exact = np.exp(z.astype(np.float64))
    assert np.max(np.abs(np.asarray(jax.jit(parts._exp)(z)) / exact - 1)) < np.finfo(np.float32).eps
    assert (parts._exp(np.array([-90, -1e30, -np.inf], np.float32)) == parts._exp(np.float32(-87))).all()


def test_softplus_and_its_derivatives_are_as_exact_as_the_number_format() -> None:
    z = np.concatenate([np.linspace(-80, 80, 100_001), np.linspace(-1, 1, 10_001)]).astype(np.float32)
    exact = z.astype(np.float64)
    np.testing.assert_allclose(jax.jit(parts.softplus)(z), np.logaddexp(0, exact), rtol=4e-7)
    slope = jax.jit(jax.vmap(jax.grad(parts.softplus)))(z)
    np.testing.assert_allclose(slope, expit(exact), rtol=4e-7)
    curvature = jax.jit(jax.vmap(jax.hessian(parts.softplus)))(z[abs(z) < 10])
    np.testing.assert_allclose(curvature, (expit(exact) * expit(-exact))[abs(z) < 10], rtol=2e-3)


def test_softplus_of_no_number_and_in_float64(x64) -> None:
    found = parts.softplus(np.array([np.nan, np.inf, -np.inf, 0], np.float32))
    np.testing.assert_array_equal(found, np.array([np.nan, np.inf, 0, np.log(2)], np.float32))
    z = np.linspace(-40, 40, 1001)
    np.testing.assert_allclose(parts.softplus(z), np.logaddexp(0, z), rtol=1e-15)
