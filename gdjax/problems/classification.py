"""Logistic and softmax regression: on bundled data, and on your own."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import data
from gdjax.problem import Problem
from gdjax.problems.linear import linear_problem
from gdjax.problems.parts import (
    RIDGE,
    SPREAD,
    Examples,
    Params,
    check_classified,
    check_ridge,
    cross_entropy,
    mean_cross_entropy,
    penalty,
    share_of_largest,
    softplus,
    summary,
)
from gdjax.problems.registry import register


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


@register("digits-held-out")
def digits_held_out() -> Problem:
    """Softmax regression on four fifths of the digits, 1,438 examples; 359 drawn with a fixed seed are held out.

    As digits-softmax otherwise: 64 pixels in [0, 1], 10 classes, ridge λ = 1e-3. Minimum over the training examples:
    Newton's method in float64 to a gradient norm of 1e-12. Starts: W from N(0, 0.1²), b = 0.

    Source: Alpaydin & Kaynak 1998; scikit-learn's copy; split by `gdjax.data.split` with seed 0.
    """
    X, y = data.digits()
    (X, y), held_out = data.split(X / 16, y, held_out=0.2, seed=0)
    problem = softmax_regression(X, y, classes=10, held_out=held_out, name="digits-held-out")
    return replace(
        problem,
        optimum=0.26107404330775,
        optimum_tolerance=1e-12,
        initial_loss=2.3706856,
        source="Alpaydin & Kaynak 1998, digits (scikit-learn), pixels/16, 359 of 1,797 held out",
    )


@register("iris-softmax")
def iris_softmax() -> Problem:
    """Softmax regression on iris: 150 examples, 4 standardised features, 3 classes, ridge λ = 1e-3.

    Minimum: Newton's method in float64 to a gradient norm of 1e-12. Starts: W from N(0, 0.1²), b = 0.

    Source: Fisher 1936, Annals of Eugenics 7; scikit-learn's copy. scikit-learn's C is 1/(nλ).
    """
    X, y = data.iris()
    problem = softmax_regression(data.standardise(X), y, classes=3, name="iris-softmax")
    return replace(
        problem,
        optimum=0.10236807843008,
        optimum_tolerance=1e-12,
        initial_loss=1.1057793,
        source="Fisher 1936, iris (scikit-learn), standardised",
    )


def logistic_regression(
    X: np.ndarray,
    y: np.ndarray,
    *,
    ridge: float = RIDGE,
    held_out: Examples | None = None,
    name: str = "logistic-regression",
) -> Problem:
    """Logistic regression: the mean over examples of log(1 + exp(z)) − y z + (λ/2)‖w‖², z = w·x + b.

    Args:
        X: features, (examples, features), standardised for fast descent.
        y: labels 0 or 1, (examples,).
        ridge: λ; at 0 a separable data set has no minimum. scikit-learn's C is 1/(nλ).
        held_out: features and labels kept from training, with the columns of X.
        name: what reports call it.

    Returns:
        A problem with params {"w": (features,), "b": ()}, an accuracy and starts w from N(0, 0.1²), b = 0; no optimum.

    Raises:
        TypeError, ValueError: see `gdjax.data.check_features` and `gdjax.data.check_labels`; a ridge below 0; held-out
            columns that are not those of X.

    Example:
        >>> problem = gdjax.problems.logistic_regression(np.array([[0.0], [1.0]]), np.array([0, 1]))
        >>> round(float(problem.loss({"w": np.zeros(1), "b": 0.0}, (np.ones(1), 1))), 4)
        0.6931
    """
    ridge = check_ridge(ridge)
    train, held_out, _ = check_classified(X, y, held_out, 2)
    return linear_problem(
        name, lambda z, y: softplus(z) - y * z, train, held_out, ridge=ridge, spread=SPREAD, classifies=True,
        source=summary("logistic regression", train[0], f"ridge {ridge:g}"),
    )


def softmax_regression(
    X: np.ndarray,
    y: np.ndarray,
    *,
    classes: int | None = None,
    ridge: float = RIDGE,
    held_out: Examples | None = None,
    name: str = "softmax-regression",
) -> Problem:
    """Softmax regression: the mean over examples of log Σₖ exp(zₖ) − z_y + (λ/2)‖W‖², z = W x + b.

    Args:
        X: features, (examples, features), standardised or in [0, 1] for fast descent.
        y: labels 0…K−1, (examples,).
        classes: K; None takes the largest label of y + 1.
        ridge: λ; at 0 a separable data set has no minimum. scikit-learn's C is 1/(nλ).
        held_out: features and labels kept from training, with the columns of X.
        name: what reports call it.

    Returns:
        A problem with params {"W": (classes, features), "b": (classes,)}, an accuracy and starts W from N(0, 0.1²),
        b = 0; no optimum.

    Raises:
        TypeError, ValueError: see `gdjax.data.check_features` and `gdjax.data.check_labels`; a ridge below 0; held-out
            columns that are not those of X.

    Example:
        >>> problem = gdjax.problems.softmax_regression(np.eye(3), np.array([0, 1, 2]))
        >>> problem.start(jax.random.key(0))["W"].shape
        (3, 3)
    """
    ridge = check_ridge(ridge)
    (X, y), held_out, classes = check_classified(X, y, held_out, classes)

    def loss(params: Params, example: tuple[jax.Array, jax.Array]) -> jax.Array:
        x, label = example
        return cross_entropy(params["W"] @ x + params["b"], label) + penalty(ridge, params["W"])

    def scores(params: Params, features: jax.Array) -> jax.Array:
        return params["W"] @ features.T + params["b"][:, None]

    def batch_loss(params: Params, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
        features, labels = batch
        return mean_cross_entropy(scores(params, features), labels) + penalty(ridge, params["W"])

    def accuracy(params: Params, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
        features, labels = batch
        return share_of_largest(scores(params, features), labels)

    return Problem(
        name=name,
        loss=loss,
        batch_loss=batch_loss,
        init=lambda key: {"W": SPREAD * jax.random.normal(key, (classes, X.shape[1])), "b": jnp.zeros(classes)},
        data=(X, y),
        held_out=held_out,
        accuracy=accuracy,
        source=summary("softmax regression", X, f"{classes} classes", f"ridge {ridge:g}"),
    )
