"""Linear and ridge regression: on bundled data, and on your own."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np

from gdjax import data
from gdjax.problem import Problem
from gdjax.problems.linear import linear_problem
from gdjax.problems.parts import RIDGE, Examples, check_examples, check_ridge, summary
from gdjax.problems.registry import register


@register("diabetes-linear")
def diabetes_linear() -> Problem:
    """Linear regression on diabetes: 442 examples, 10 features, features and outcome standardised.

    J(w, b) = (1/n) Σ ½(w·x + b − y)². Minimum: closed form (least squares), ½(1 − R²). Starts: w from N(0, 1), b = 0.
    The Hessian's condition number is 470.

    Source: Efron et al. 2004, Annals of Statistics 32; scikit-learn's copy.
    """
    X, y = data.diabetes()
    problem = linear_regression(data.standardise(X), data.standardise(y), name="diabetes-linear")
    return replace(problem, initial_loss=4.7048292, source="Efron et al. 2004, diabetes (scikit-learn), standardised")


@register("diabetes-raw")
def diabetes_raw() -> Problem:
    """Linear regression on diabetes as it was measured: the features of diabetes-linear in their own units.

    J(w, b) = (1/n) Σ ½(w·x + b − y)², y standardised, with the minimum of diabetes-linear: closed form, ½(1 − R²). But
    the Hessian's condition number is 5.2e7 instead of 470, so descent needs 110,000 times the steps.
    Starts: w from N(0, 1), b = 0.

    Source: Efron et al. 2004, Annals of Statistics 32; scikit-learn's copy.
    """
    X, y = data.diabetes()
    problem = linear_regression(X, data.standardise(y), name="diabetes-raw")
    return replace(problem, initial_loss=17411.24, source="Efron et al. 2004, diabetes (scikit-learn), features raw")


@register("diabetes-ridge")
def diabetes_ridge() -> Problem:
    """Ridge regression on diabetes, standardised: λ = 0.1, condition number 38 instead of 470.

    J(w, b) = (1/n) Σ ½(w·x + b − y)² + (λ/2)‖w‖². Minimum: closed form. Starts: w from N(0, 1), b = 0.

    Source: Efron et al. 2004, Annals of Statistics 32; scikit-learn's copy, whose α is nλ.
    """
    X, y = data.diabetes()
    problem = ridge_regression(data.standardise(X), data.standardise(y), ridge=0.1, name="diabetes-ridge")
    return replace(problem, initial_loss=5.1445885, source="Efron et al. 2004, diabetes (scikit-learn), λ = 0.1")


def linear_regression(
    X: np.ndarray, y: np.ndarray, *, held_out: Examples | None = None, name: str = "linear-regression"
) -> Problem:
    """Linear regression with intercept: the mean over examples of ½(w·x + b − y)².

    Args:
        X: features, (examples, features), standardised for fast descent.
        y: outcomes, (examples,).
        held_out: features and outcomes kept from training, with the columns of X.
        name: what reports call it.

    Returns:
        A problem with params {"w": (features,), "b": ()}, its minimum by least squares in float64 (the shortest of all
        minimizers when features are collinear), and starts w from N(0, 1), b = 0.

    Raises:
        TypeError, ValueError: see `gdjax.data.check_features`; held-out columns that are not those of X.

    Example:
        >>> problem = gdjax.problems.linear_regression(np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0]))
        >>> problem.minimizer["w"].round(6).tolist(), round(problem.optimum, 6)
        ([2.0], 0.0)
    """
    (X, y), held_out = check_examples(X, y, held_out)
    means, mean = X.mean(axis=0), y.mean()
    # centred, so that the shortest solution leaves the intercept free
    w, *_ = np.linalg.lstsq(X - means, y - mean)
    b = mean - means @ w
    problem = linear_problem(name, _half_square, (X, y), held_out, source=summary("linear regression", X))
    return _solved(problem, w, b, float(np.mean((X @ w + b - y) ** 2) / 2))


def ridge_regression(
    X: np.ndarray,
    y: np.ndarray,
    *,
    ridge: float = RIDGE,
    held_out: Examples | None = None,
    name: str = "ridge-regression",
) -> Problem:
    """Ridge regression with a free intercept: the mean over examples of ½(w·x + b − y)² plus (λ/2)‖w‖².

    With centred X and y the minimum is at w = (XᵀX/n + λI)⁻¹ Xᵀy/n.

    Args:
        X: features, (examples, features), standardised for fast descent.
        y: outcomes, (examples,).
        ridge: λ; at 0 this is `linear_regression`. scikit-learn's α is nλ.
        held_out: features and outcomes kept from training, with the columns of X.
        name: what reports call it.

    Returns:
        A problem with params {"w": (features,), "b": ()}, its minimum in closed form, and starts w from N(0, 1), b = 0.

    Raises:
        TypeError, ValueError: see `gdjax.data.check_features`; a ridge below 0; held-out columns that are not those of
            X.

    Example:
        >>> problem = gdjax.problems.ridge_regression(np.array([[-1.0], [1.0]]), np.array([-2.0, 2.0]), ridge=1.0)
        >>> problem.minimizer["w"].round(6).tolist(), round(problem.optimum, 6)
        ([1.0], 1.0)

    Source: Hoerl & Kennard 1970, "Ridge regression: biased estimation for nonorthogonal problems", Technometrics 12(1),
    equation 2.1.
    """
    ridge = check_ridge(ridge)
    (X, y), held_out = check_examples(X, y, held_out)
    n, features = X.shape
    means, mean = X.mean(axis=0), y.mean()
    # the penalty as further rows of least squares: no squared condition number, and collinear features at λ = 0
    rows = np.vstack([(X - means) / np.sqrt(n), np.sqrt(ridge) * np.eye(features)])
    w, *_ = np.linalg.lstsq(rows, np.append((y - mean) / np.sqrt(n), np.zeros(features)))
    b = mean - means @ w
    problem = linear_problem(name, _half_square, (X, y), held_out, ridge=ridge,
                             source=summary("ridge regression", X, f"ridge {ridge:g}"))
    return _solved(problem, w, b, float(np.mean((X @ w + b - y) ** 2) / 2 + ridge * (w @ w) / 2))


def _half_square(z: jax.Array, y: jax.Array) -> jax.Array:
    return 0.5 * (z - y) ** 2


def _solved(problem: Problem, w: np.ndarray, b: np.ndarray, optimum: float) -> Problem:
    """The problem with its one minimum."""
    return replace(problem, optimum=optimum, minimizer={"w": w, "b": b}, minima={"w": w[None], "b": b[None]})
