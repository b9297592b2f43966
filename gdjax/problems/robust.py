"""Huber regression: squared error near the line, absolute error far from it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import optax

from gdjax import data
from gdjax.problem import Problem
from gdjax.problems.checks import real
from gdjax.problems.linear import linear_problem
from gdjax.problems.parts import Examples, check_examples, summary
from gdjax.problems.registry import register


@register("diabetes-huber")
def diabetes_huber() -> Problem:
    """Huber regression on diabetes: 442 examples, 10 features, all standardised, δ = 0.5: half of the residuals beyond.

    Minimum: Newton's method in float64 to a gradient norm of 1e-12. Starts: w from N(0, 1), b = 0.

    Source: Efron et al. 2004, Annals of Statistics 32; scikit-learn's copy.
    """
    X, y = data.diabetes()
    problem = huber_regression(data.standardise(X), data.standardise(y), delta=0.5, name="diabetes-huber")
    return replace(
        problem,
        optimum=0.17747492582247,
        optimum_tolerance=1e-12,
        initial_loss=1.1122484,
        source="Efron et al. 2004, diabetes (scikit-learn), standardised, δ = 0.5",
    )


def huber_regression(
    X: np.ndarray,
    y: np.ndarray,
    *,
    delta: float = 1.0,
    held_out: Examples | None = None,
    name: str = "huber-regression",
) -> Problem:
    """Huber regression: the mean over examples of ½r² where |r| ≤ δ and of δ(|r| − ½δ) beyond, r = w·x + b − y.

    Args:
        X: features, (examples, features), standardised for fast descent.
        y: outcomes, (examples,).
        delta: δ, in units of y: beyond it a residual pulls no harder. scikit-learn's HuberRegressor scales δ by a
            spread that it estimates, so its ε is not this δ.
        held_out: features and outcomes kept from training, with the columns of X.
        name: what reports call it.

    Returns:
        A problem with params {"w": (features,), "b": ()} and starts w from N(0, 1), b = 0; no optimum.

    Raises:
        TypeError, ValueError: see `gdjax.data.check_features`; a delta not above 0; held-out columns that are not those
            of X.

    Example:
        >>> problem = gdjax.problems.huber_regression(np.array([[0.0], [1.0]]), np.array([0.0, 9.0]), delta=2.0)
        >>> [float(problem.loss({"w": np.zeros(1), "b": 0.0}, (np.ones(1), y))) for y in (1.0, 9.0)]
        [0.5, 16.0]

    Source: Huber 1964, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35(1), p. 79.
    """
    if not (math.isfinite(real("delta", delta)) and delta > 0):
        raise ValueError(f"delta: must be a finite number above 0 (got {delta}). It is where ½r² turns into a line.")
    train, held_out = check_examples(X, y, held_out)
    return linear_problem(
        name, lambda z, y: optax.huber_loss(z, y, delta=delta), train, held_out,
        source=summary("Huber regression", train[0], f"δ {delta:g}"),
    )
