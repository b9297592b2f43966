"""Poisson regression: outcomes that are counts."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
import numpy as np

from gdjax import data
from gdjax.data.checks import SHOWN
from gdjax.problem import Problem
from gdjax.problems.linear import linear_problem
from gdjax.problems.parts import RIDGE, SPREAD, Examples, check_examples, check_ridge, summary
from gdjax.problems.registry import register


@register("linnerud-poisson")
def linnerud_poisson() -> Problem:
    """Poisson regression on Linnerud: the pulse (beats a minute) of 20 men from 3 standardised exercises, λ = 1e-3.

    Curvatures grow with exp(z): the largest from 2 at the starts to 125 at the minimum, which bounds rates by 0.016.
    Minimum: Newton's method in float64 to a gradient norm of 1e-12. Starts: w from N(0, 0.1²), b = 0.

    Source: Linnerud, in Tenenhaus 1998, "La régression PLS"; scikit-learn's copy, whose α is λ.
    """
    X, y = data.linnerud("pulse")
    problem = poisson_regression(data.standardise(X), y, name="linnerud-poisson")
    return replace(
        problem,
        optimum=-169.8552033422308,
        optimum_tolerance=1e-12,
        initial_loss=1.0227131,
        source="Linnerud (scikit-learn): pulse from exercises, standardised",
    )


def poisson_regression(
    X: np.ndarray,
    y: np.ndarray,
    *,
    ridge: float = RIDGE,
    held_out: Examples | None = None,
    name: str = "poisson-regression",
) -> Problem:
    """Poisson regression with log link: the mean over examples of exp(z) − y z plus (λ/2)‖w‖², z = w·x + b.

    That is the negative log-likelihood of counts y with mean exp(z), without log y! that no parameter changes.

    Args:
        X: features, (examples, features), standardised for fast descent.
        y: counts, (examples,): whole numbers of at least 0.
        ridge: λ; the intercept is free. scikit-learn's α is λ.
        held_out: features and counts kept from training, with the columns of X.
        name: what reports call it.

    Returns:
        A problem with params {"w": (features,), "b": ()} and starts w from N(0, 0.1²), b = 0; no optimum.

    Raises:
        TypeError, ValueError: see `gdjax.data.check_features`; counts that are negative or fractional, naming the first
            five rows; no count above 0; a ridge below 0; held-out columns that are not those of X.

    Example:
        >>> problem = gdjax.problems.poisson_regression(np.array([[0.0], [1.0]]), np.array([1, 4]))
        >>> float(problem.loss({"w": np.zeros(1), "b": 0.0}, (np.ones(1), 4.0)))
        1.0

    Source: McCullagh & Nelder 1989, "Generalized Linear Models", 2nd edition, section 6.2.
    """
    ridge = check_ridge(ridge)
    train, held_out = check_examples(X, y, held_out, _check_counts)
    if not train[1].any():
        raise ValueError(f"counts: need one above 0 (got {len(train[1])} zeros). With none the intercept falls for "
                         "ever.")
    return linear_problem(
        name, lambda z, y: jnp.exp(z) - y * z, train, held_out, ridge=ridge, spread=SPREAD,
        source=summary("Poisson regression", train[0], f"ridge {ridge:g}"),
    )


def _check_counts(y: np.ndarray) -> np.ndarray:
    wrong = np.flatnonzero((y < 0) | (y != np.floor(y)))
    if len(wrong):
        seen = ", ".join(f"{y[row]:g} at row {row}" for row in wrong[:SHOWN])
        raise ValueError(f"counts: must be whole numbers of at least 0 (got {seen}; {len(wrong)} in all). "
                         "Poisson regression is of counts: use linear_regression for other outcomes.")
    return y
