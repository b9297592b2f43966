"""Features made ready for descent: one scale for every column, learnt from the training part alone; an intercept."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gdjax.data.checks import check_finite, numbers


class Scaling(NamedTuple):
    """Mean and spread of every column of a table, (features,) each; a spread is never 0.

    Example:
        >>> gdjax.data.Scaling(mean=np.zeros(1), spread=np.full(1, 2.0)).spread.tolist()
        [2.0]
    """

    mean: np.ndarray
    spread: np.ndarray


def scaling(X: np.ndarray) -> Scaling:
    """Mean and standard deviation √((1/n) Σ(x − mean)²) of every column, to apply to other rows.

    Args:
        X: (examples, features) or (examples,): the training part, so that nothing of the held-out rows leaks.

    Returns:
        (mean, spread). A column that does not vary has that value as mean, and spread 1.

    Raises:
        TypeError: X does not hold real numbers.
        ValueError: X is not finite, or has no rows.

    Example:
        >>> mean, spread = gdjax.data.scaling(np.array([[1.0, 5.0], [3.0, 5.0]]))
        >>> mean.tolist(), spread.tolist()
        ([2.0, 5.0], [1.0, 1.0])
    """
    X = _rows(X)
    # compared, not subtracted: the rounded mean of equal values may differ from them by one bit
    varies = X.max(axis=0) > X.min(axis=0)
    spread = np.where(varies, X.std(axis=0), 1.0)
    # a spread that underflows to 0 cannot be divided by
    return Scaling(np.where(varies, X.mean(axis=0), X[0]), np.where(spread > 0, spread, 1.0))


def standardise(X: np.ndarray, *, like: tuple[np.ndarray, np.ndarray] | None = None) -> np.ndarray:
    """Columns with mean 0 and standard deviation 1: (x − mean)/spread.

    Args:
        X: (examples, features) or (examples,). A column that does not vary becomes 0.
        like: the (mean, spread) to use instead of X's own: `scaling(X_train)`, for held-out rows and training rows
            alike, so that the training part alone decides.

    Returns:
        The same shape in float64.

    Raises:
        TypeError: X does not hold real numbers; `like` is no pair of them.
        ValueError: X is not finite, or has no rows; `like` has other columns, or a spread that is not above 0.

    Example:
        >>> gdjax.data.standardise(np.array([[1.0, 5.0], [3.0, 5.0]])).tolist()
        [[-1.0, 0.0], [1.0, 0.0]]
        >>> gdjax.data.standardise(np.array([4.0]), like=gdjax.data.scaling(np.array([1.0, 3.0]))).tolist()
        [2.0]
    """
    X = _rows(X)
    mean, spread = scaling(X) if like is None else _pair(like)
    if mean.shape != X.shape[1:] or spread.shape != X.shape[1:]:
        raise ValueError(f"like: mean and spread must have one number per column of X (got {mean.shape} and "
                         f"{spread.shape} for features {X.shape}). Use scaling(X_train) of the same columns.")
    if not (np.isfinite(mean).all() and np.isfinite(spread).all() and (spread > 0).all()):
        raise ValueError(f"like: mean must be finite and spread above 0 (got {mean} and {spread}). "
                         "Use scaling(X_train), which gives 1 for a column that does not vary.")
    return (X - mean) / spread


def with_intercept(X: np.ndarray) -> np.ndarray:
    """The features with a last column of ones, whose weight is then the intercept: w·(x, 1) = w·x + b.

    The builders of `gdjax.problems` have an intercept of their own, free of the ridge: give those X as it is. This is
    for a loss of your own that is linear in its features.

    Args:
        X: (examples, features).

    Returns:
        (examples, features + 1) in float64.

    Raises:
        TypeError: X does not hold real numbers.
        ValueError: X is not two-dimensional, or a column of it is all ones already, so that the weights of the two
            could not be told apart.

    Example:
        >>> gdjax.data.with_intercept(np.array([[2.0], [3.0]])).tolist()
        [[2.0, 1.0], [3.0, 1.0]]
    """
    X = numbers("features", X)
    if X.ndim != 2 or len(X) == 0:
        raise ValueError(f"features: must have two axes and rows (got shape {X.shape}). "
                         "Give (examples, features); one feature is X.reshape(-1, 1).")
    ones = np.flatnonzero((X == 1).all(axis=0))
    if len(ones) and len(X) > 1:  # one example tells nothing about a column
        raise ValueError(f"features: must not have an intercept yet (got ones in column {ones[0]}). "
                         "Give the features without it.")
    return np.column_stack([X, np.ones(len(X))])


def _pair(like: object) -> Scaling:
    pair = list(np.atleast_1d(like)) if isinstance(like, np.ndarray) else like
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError(f"like: must be (mean, spread) (got {like!r}). Use scaling(X_train).")
    return Scaling(numbers("like: mean", pair[0]), numbers("like: spread", pair[1]))


def _rows(X: np.ndarray) -> np.ndarray:
    X = numbers("features", X)
    if X.ndim == 0 or len(X) == 0:
        raise ValueError(f"features: need rows (got shape {X.shape}). Give an (examples, features) array.")
    check_finite("features", X)
    return X
