"""The squared hinge: the smooth loss of linear support vector machines."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np

from gdjax import data
from gdjax.problem import Problem
from gdjax.problems.linear import linear_problem
from gdjax.problems.parts import RIDGE, SPREAD, Examples, check_classified, check_ridge, summary
from gdjax.problems.registry import register


@register("cancer-hinge")
def cancer_hinge() -> Problem:
    """Squared hinge on breast cancer: 569 examples, 30 standardised features, ridge λ = 1e-3, free intercept.

    Minimum: Newton's method in float64 to a gradient norm of 1e-12. Starts: w from N(0, 0.1²), b = 0.

    Source: Street, Wolberg & Mangasarian 1993; scikit-learn's copy. C of LinearSVC is 1/(nλ), but for its intercept.
    """
    X, y = data.breast_cancer()
    problem = squared_hinge_regression(data.standardise(X), y, name="cancer-hinge")
    return replace(
        problem,
        optimum=0.05025989221821,
        optimum_tolerance=1e-12,
        initial_loss=1.1778848,
        source="Street et al. 1993, breast cancer (scikit-learn), standardised, squared hinge",
    )


def squared_hinge_regression(
    X: np.ndarray,
    y: np.ndarray,
    *,
    ridge: float = RIDGE,
    held_out: Examples | None = None,
    name: str = "squared-hinge-regression",
) -> Problem:
    """A linear classifier by the squared hinge: the mean of max(0, 1 − s z)² plus (λ/2)‖w‖², s = 2y − 1, z = w·x + b.

    The square makes the gradient continuous, where that of the plain hinge jumps at s z = 1.

    Args:
        X: features, (examples, features), standardised for fast descent.
        y: labels 0 or 1, (examples,).
        ridge: λ. C of scikit-learn's LinearSVC is 1/(nλ); LinearSVC penalises the intercept too, which is free here.
        held_out: features and labels kept from training, with the columns of X.
        name: what reports call it.

    Returns:
        A problem with params {"w": (features,), "b": ()}, an accuracy and starts w from N(0, 0.1²), b = 0; no optimum.

    Raises:
        TypeError, ValueError: see `gdjax.data.check_features` and `gdjax.data.check_labels`; a ridge below 0; held-out
            columns that are not those of X.

    Example:
        >>> problem = gdjax.problems.squared_hinge_regression(np.array([[0.0], [1.0]]), np.array([0, 1]))
        >>> [float(problem.loss({"w": np.zeros(1), "b": b}, (np.ones(1), 1))) for b in (-1.0, 0.5, 2.0)]
        [4.0, 0.25, 0.0]

    Source: Fan et al. 2008, "LIBLINEAR", Journal of Machine Learning Research 9, equation 1 with L2-loss.
    """
    ridge = check_ridge(ridge)
    train, held_out, _ = check_classified(X, y, held_out, 2)
    return linear_problem(
        name, lambda z, y: jax.nn.relu(1 - (2 * y - 1) * z) ** 2, train, held_out, ridge=ridge, spread=SPREAD,
        classifies=True, source=summary("squared hinge", train[0], f"ridge {ridge:g}"),
    )
