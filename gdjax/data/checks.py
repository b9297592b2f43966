"""The checks that every data set passes before it is trained on, and the fingerprint that tells data apart."""

from __future__ import annotations

import hashlib

import jax
import numpy as np

from gdjax.problem import PyTree
from gdjax.reading import blocks_of
from gdjax.scalars import is_whole

MOST_CLASSES = 2**31 - 1  # labels are kept in int32
SHOWN = 5  # rows named in an error: enough to find the fault, short enough to read


def check_features(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features and their outcomes as float64, or the reason why they cannot be trained on.

    Args:
        X: (examples, features).
        y: (examples,), numbers or labels.

    Returns:
        X and y in float64.

    Raises:
        TypeError: X or y does not hold real numbers.
        ValueError: X is not two-dimensional or y not one-dimensional, no rows or no columns, different lengths (naming
            the shapes); NaN or inf (naming row and column of the first five).

    Example:
        >>> X, y = gdjax.data.check_features([[1, 2], [3, 4]], [0, 1])
        >>> X.dtype
        dtype('float64')
    """
    X, y = numbers("features", X), numbers("labels", y)
    shapes = f"got features {X.shape} and labels {y.shape}"
    if X.ndim != 2:
        raise ValueError(f"features: must have two axes, (examples, features) ({shapes}). "
                         "One feature is a column: X.reshape(-1, 1).")
    if y.ndim != 1:
        raise ValueError(f"labels: must have one axis, (examples,) ({shapes}). Give one number per example: y.ravel().")
    if 0 in X.shape:
        raise ValueError(f"features: need rows and columns ({shapes}). At least one example with one feature.")
    if len(X) != len(y):
        raise ValueError(f"labels: must be as many as the rows of the features ({shapes}). Cut both to one length.")
    check_finite("features", X)
    check_finite("labels", y)
    return X, y


def check_labels(y: np.ndarray, classes: int) -> np.ndarray:
    """Labels as int32, each one of 0…K−1.

    Args:
        y: (examples,), whole numbers in any numeric type.
        classes: how many classes K there are, at least 2.

    Returns:
        The labels in int32, (examples,).

    Raises:
        TypeError: y does not hold numbers (encode text first), or classes is not whole.
        ValueError: fewer than two classes or more than int32 counts; labels outside 0…K−1 or fractional, naming
            the first five rows with their values; all labels the same.

    Example:
        >>> gdjax.data.check_labels(np.array([0.0, 2.0, 1.0]), classes=3)
        array([0, 2, 1], dtype=int32)
    """
    labels = numbers("labels", y)
    if labels.ndim != 1 or len(labels) == 0:
        raise ValueError(f"labels: must have one axis with at least one example (got shape {labels.shape}). "
                         "Give one number per example.")
    if not is_whole(classes):
        raise TypeError(f"classes: must be a whole number of at least 2 (got {classes!r}). Labels are 0…K−1.")
    if classes < 2:
        raise ValueError(f"classes: must be at least 2 (got {classes}). One class leaves nothing to learn.")
    if classes > MOST_CLASSES:
        raise ValueError(f"classes: must be at most {MOST_CLASSES:,} (got {classes:,}). Are they outcomes? Use "
                         "linear_regression, or encode them: np.unique(y, return_inverse=True)[1].")
    wrong = np.flatnonzero(~((labels >= 0) & (labels < classes) & (labels == np.floor(labels))))
    if len(wrong):
        seen = ", ".join(f"{labels[row]:g} at row {row}" for row in wrong[:SHOWN])
        raise ValueError(f"labels: must be whole numbers from 0 to {classes - 1} (got {seen}; {len(wrong)} in all). "
                         "Encode the classes as 0, 1, 2, …: np.unique(y, return_inverse=True)[1].")
    if (labels == labels[0]).all():
        seen = ", ".join(f"{value:g} at row {row}" for row, value in enumerate(labels[:SHOWN]))
        raise ValueError(f"labels: need at least two classes (got only {seen}). Give examples of a second class.")
    return labels.astype(np.int32)


def fingerprint(data: PyTree) -> str:
    """SHA-256 of a pytree of arrays: path, dtype, shape and bytes of every leaf, in hex.

    The same values give the same fingerprint on every machine, whatever their memory layout.

    Args:
        data: pytree of arrays, as in `Problem.data`.

    Returns:
        64 hexadecimal digits.

    Example:
        >>> gdjax.data.fingerprint({"x": np.zeros(3)})[:8]
        '0132a085'
    """
    digest = hashlib.sha256()
    for path, leaf in jax.tree.flatten_with_path(data)[0]:
        array = np.asarray(leaf)
        dtype = array.dtype.newbyteorder("<")
        digest.update(f"{jax.tree_util.keystr(path)} {dtype.str} {array.shape}\n".encode())
        for _, rows in blocks_of(np.atleast_1d(array)):  # it may be mapped, and larger than memory
            digest.update(rows.astype(dtype, order="C").tobytes())
    return digest.hexdigest()


def numbers(field: str, values: np.ndarray) -> np.ndarray:
    """An array in float64, or a TypeError when it does not hold real numbers."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{field}: must hold real numbers (got dtype {array.dtype}). Encode text and categories first.")
    return array.astype(np.float64)


def check_finite(field: str, array: np.ndarray) -> None:
    """Raise a ValueError that names row and column of the first five values that are not finite."""
    places = np.argwhere(~np.isfinite(array))
    if len(places):
        seen = ", ".join(f"{array[tuple(place)]:g} at row " + " column ".join(str(index) for index in place)
                         for place in places[:SHOWN])
        raise ValueError(f"{field}: must be finite (got {seen}; {len(places)} in all). Drop or fill these rows.")
