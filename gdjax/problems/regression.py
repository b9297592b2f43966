"""Linear, logistic and softmax regression: on bundled data, and on your own."""

from __future__ import annotations

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import data
from gdjax.problem import Problem
from gdjax.problems.registry import register

RIDGE = 1e-3
SPREAD = 0.1  # standard deviation of random starts


@register("diabetes-linear")
def diabetes_linear() -> Problem:
    """Linear regression on diabetes: 442 examples, 10 features, features and outcome standardised.

    J(w, b) = (1/n) Σ ½(w·x + b − y)². Minimum: closed form (least squares), ½(1 − R²). Starts: w from N(0, 1), b = 0.

    Source: Efron et al. 2004, Annals of Statistics 32; scikit-learn's copy.
    """
    X, y = data.diabetes()
    problem = linear_regression(data.standardise(X), data.standardise(y), name="diabetes-linear")
    return replace(problem, initial_loss=4.7048292, source="Efron et al. 2004, diabetes (scikit-learn), standardised")


@register("cancer-logistic")
def cancer_logistic() -> Problem:
    """Logistic regression on breast cancer: 569 examples, 30 standardised features, ridge λ = 1e-3, free intercept.

    Minimum: Newton's method in float64 to a gradient norm of 1e-12. Starts: w from N(0, 0.1²), b = 0.

    Source: Street, Wolberg & Mangasarian 1993; scikit-learn's copy. scikit-learn's C is 1/(nλ).
    """
    X, y = data.breast_cancer()
    problem = logistic_regression(data.standardise(X), y, name="cancer-logistic")
    return replace(
        problem,
        optimum=0.05982793727109,
        optimum_tolerance=1e-12,
        initial_loss=0.71580297,
        source="Street et al. 1993, breast cancer (scikit-learn), standardised",
    )


@register("digits-softmax")
def digits_softmax() -> Problem:
    """Softmax regression on handwritten digits: 1,797 examples, 64 pixels in [0, 1], 10 classes, ridge λ = 1e-3.

    Minimum: Newton's method in float64 to a gradient norm of 1e-12. Starts: W from N(0, 0.1²), b = 0.

    Source: Alpaydin & Kaynak 1998; scikit-learn's copy. scikit-learn's C is 1/(nλ).
    """
    X, y = data.digits()
    problem = softmax_regression(X / 16, y, classes=10, name="digits-softmax")
    return replace(
        problem,
        optimum=0.26186454721717,
        optimum_tolerance=1e-12,
        initial_loss=2.3715010,
        source="Alpaydin & Kaynak 1998, digits (scikit-learn), pixels/16",
    )


def linear_regression(X: np.ndarray, y: np.ndarray, *, name: str = "linear-regression") -> Problem:
    """Linear regression with intercept: the mean over examples of ½(w·x + b − y)².

    Args:
        X: features, (examples, features), standardised for fast descent.
        y: outcomes, (examples,).
        name: what reports call it.

    Returns:
        A problem with params {"w": (features,), "b": ()}, its minimum by least squares in float64 (the shortest of all
        minimizers when features are collinear), and starts w from N(0, 1), b = 0.

    Raises:
        TypeError, ValueError: see `gdjax.data.check_features`.

    Example:
        >>> problem = gdjax.problems.linear_regression(np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0]))
        >>> problem.minimizer["w"].round(6).tolist(), round(problem.optimum, 6)
        ([2.0], 0.0)
    """
    X, y = data.check_features(X, y)
    means, mean = X.mean(axis=0), y.mean()
    # centred, so that the shortest solution leaves the intercept free
    w, *_ = np.linalg.lstsq(X - means, y - mean)
    b = mean - means @ w
    return Problem(
        name=name,
        loss=_half_squared_error,
        init=lambda key: {"w": jax.random.normal(key, (X.shape[1],)), "b": jnp.zeros(())},
        data=(X, y),
        optimum=float(np.mean((X @ w + b - y) ** 2) / 2),
        minimizer={"w": w, "b": b},
        source=f"linear regression, {X.shape[0]} examples, {X.shape[1]} features",
    )


def logistic_regression(
    X: np.ndarray, y: np.ndarray, *, ridge: float = RIDGE, name: str = "logistic-regression"
) -> Problem:
    """Logistic regression: the mean over examples of log(1 + exp(z)) − y z + (λ/2)‖w‖², z = w·x + b.

    Args:
        X: features, (examples, features), standardised for fast descent.
        y: labels 0 or 1, (examples,).
        ridge: λ; at 0 a separable data set has no minimum. scikit-learn's C is 1/(nλ).
        name: what reports call it.

    Returns:
        A problem with params {"w": (features,), "b": ()} and starts w from N(0, 0.1²), b = 0; no optimum.

    Raises:
        TypeError, ValueError: see `gdjax.data.check_features` and `gdjax.data.check_labels`; a ridge below 0.

    Example:
        >>> problem = gdjax.problems.logistic_regression(np.array([[0.0], [1.0]]), np.array([0, 1]))
        >>> round(float(problem.loss({"w": np.zeros(1), "b": 0.0}, (np.ones(1), 1))), 4)
        0.6931
    """
    ridge = check_ridge(ridge)
    X, y = data.check_features(X, y)

    def loss(params: dict[str, jax.Array], example: tuple[jax.Array, jax.Array]) -> jax.Array:
        x, label = example
        score = params["w"] @ x + params["b"]
        return jax.nn.softplus(score) - label * score + 0.5 * ridge * jnp.sum(params["w"] ** 2)

    return Problem(
        name=name,
        loss=loss,
        init=lambda key: {"w": SPREAD * jax.random.normal(key, (X.shape[1],)), "b": jnp.zeros(())},
        data=(X, data.check_labels(y, 2)),
        source=f"logistic regression, {X.shape[0]} examples, {X.shape[1]} features, ridge {ridge:g}",
    )


def softmax_regression(
    X: np.ndarray, y: np.ndarray, *, classes: int | None = None, ridge: float = RIDGE, name: str = "softmax-regression"
) -> Problem:
    """Softmax regression: the mean over examples of log Σₖ exp(zₖ) − z_y + (λ/2)‖W‖², z = W x + b.

    Args:
        X: features, (examples, features), standardised or in [0, 1] for fast descent.
        y: labels 0…K−1, (examples,).
        classes: K; None takes the largest label + 1.
        ridge: λ; at 0 a separable data set has no minimum. scikit-learn's C is 1/(nλ).
        name: what reports call it.

    Returns:
        A problem with params {"W": (classes, features), "b": (classes,)} and starts W from N(0, 0.1²), b = 0; no
        optimum.

    Raises:
        TypeError, ValueError: see `gdjax.data.check_features` and `gdjax.data.check_labels`; a ridge below 0.

    Example:
        >>> problem = gdjax.problems.softmax_regression(np.eye(3), np.array([0, 1, 2]))
        >>> problem.start(jax.random.key(0))["W"].shape
        (3, 3)
    """
    ridge = check_ridge(ridge)
    X, y = data.check_features(X, y)
    classes = count_classes(y) if classes is None else classes

    def loss(params: dict[str, jax.Array], example: tuple[jax.Array, jax.Array]) -> jax.Array:
        x, label = example
        return cross_entropy(params["W"] @ x + params["b"], label) + 0.5 * ridge * jnp.sum(params["W"] ** 2)

    def batch_loss(params: dict[str, jax.Array], batch: tuple[jax.Array, jax.Array]) -> jax.Array:
        features, labels = batch
        scores = params["W"] @ features.T + params["b"][:, None]
        return mean_cross_entropy(scores, labels) + 0.5 * ridge * jnp.sum(params["W"] ** 2)

    return Problem(
        name=name,
        loss=loss,
        batch_loss=batch_loss,
        init=lambda key: {"W": SPREAD * jax.random.normal(key, (classes, X.shape[1])), "b": jnp.zeros(classes)},
        data=(X, data.check_labels(y, classes)),
        source=f"softmax regression, {X.shape[0]} examples, {X.shape[1]} features, {classes} classes, ridge {ridge:g}",
    )


def cross_entropy(scores: jax.Array, label: jax.Array) -> jax.Array:
    """Cross entropy of softmax(scores) against one label: log Σₖ exp(zₖ) − z_label, scores (classes,)."""
    # a select, not scores[label]: its gradient needs no scatter, which is slow on CPU and unordered on GPU
    return jax.nn.logsumexp(scores) - jnp.sum(jnp.where(jnp.arange(scores.size) == label, scores, 0))


def mean_cross_entropy(scores: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean cross entropy over a batch, scores (classes, examples), labels (examples,).

    Examples are the last axis: sums over ten classes then run along vectors of examples. Against `cross_entropy` mapped
    over examples (classes last) a full-batch step of digits-softmax took 0.6, a batch of 32 0.7 of the time.
    """
    chosen = jnp.where(jnp.arange(scores.shape[0])[:, None] == labels, scores, 0)
    return jnp.mean(jax.nn.logsumexp(scores, axis=0) - jnp.sum(chosen, axis=0))


def count_classes(y: np.ndarray) -> int:
    """Number of classes K when none is given: the largest label + 1, at least 2."""
    return max(int(y.max()) + 1, 2)


def check_ridge(ridge: float) -> float:
    """The ridge λ, or a ValueError when it is negative or not finite."""
    if not (math.isfinite(ridge) and ridge >= 0):
        raise ValueError(f"ridge: must be a finite number of at least 0 (got {ridge}). It is λ of (λ/2)‖W‖².")
    return float(ridge)


def _half_squared_error(params: dict[str, jax.Array], example: tuple[jax.Array, jax.Array]) -> jax.Array:
    x, y = example
    return 0.5 * (params["w"] @ x + params["b"] - y) ** 2
