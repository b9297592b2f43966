"""A training part and a held-out part: seeded, exact in its counts, stratified if wanted."""

from __future__ import annotations

import operator

import numpy as np

from gdjax.data.checks import SHOWN, check_features
from gdjax.scalars import is_real

Examples = tuple[np.ndarray, np.ndarray]


def split(
    X: np.ndarray, y: np.ndarray, *, held_out: float = 0.2, seed: int = 0, stratify: bool = False,
) -> tuple[Examples, Examples]:
    """Examples cut in two: ((X, y) to train on, (X, y) held out), both in the order of one seeded permutation.

    Args:
        X: features, (examples, features).
        y: outcomes or labels, (examples,).
        held_out: share of the examples in (0, 1) that is held out: round(share · n) of them, at least one on either
            side.
        seed: of `numpy.random.default_rng`: the same seed gives the same split.
        stratify: whether every label has the same share in both parts, to less than one example each (quotas of the
            labels are rounded by largest remainder, so that their sum stays round(share · n)).

    Returns:
        ((X, y), (X_held, y_held)) in float64. Scale both by the first: `standardise(X_held, like=scaling(X))`.

    Raises:
        TypeError: X or y does not hold real numbers; a seed that is not an integer.
        ValueError: X and y do not fit together (see `check_features`); fewer than two examples; a share not inside
            (0, 1); a seed outside [0, 2³²); with `stratify` a label that the training part would lack.

    Example:
        >>> (X, y), (X_held, y_held) = gdjax.data.split(*gdjax.data.iris(), held_out=0.3, stratify=True)
        >>> X.shape, np.bincount(y_held.astype(int)).tolist()
        ((105, 4), [15, 15, 15])

    Source: largest remainder: Balinski & Young 1982, "Fair Representation", on Hamilton's method.
    """
    X, y = check_features(X, y)
    count = _held_out_count(len(y), held_out)
    order = np.random.default_rng(_checked_seed(seed)).permutation(len(y))
    held = np.zeros(len(y), bool)  # along the permutation
    if stratify:
        values, codes = np.unique(y, return_inverse=True)
        quotas = _largest_remainder(np.bincount(codes), count)
        _check_training_labels(values, np.bincount(codes), quotas)
        for code, quota in enumerate(quotas):
            held[np.flatnonzero(codes[order] == code)[:quota]] = True
    else:
        held[:count] = True
    train, rest = order[~held], order[held]
    return (X[train], y[train]), (X[rest], y[rest])


def _held_out_count(examples: int, held_out: float) -> int:
    if examples < 2:
        raise ValueError(f"features: need at least two examples to split (got {examples}). One is trained on, one held "
                         "out.")
    if not (is_real(held_out) and 0 < held_out < 1):
        raise ValueError(f"held_out: must be a share inside (0, 1) (got {held_out!r}). 0.2 holds out a fifth.")
    return min(max(round(held_out * examples), 1), examples - 1)


def _checked_seed(seed: int) -> int:
    if isinstance(seed, bool):
        raise TypeError(f"seed: must be an integer (got {seed}). Give one in [0, 2**32).")
    try:
        number = operator.index(seed)
    except TypeError:
        raise TypeError(f"seed: must be an integer (got {type(seed).__name__}). Give one in [0, 2**32).") from None
    if not 0 <= number < 2**32:
        raise ValueError(f"seed: must be in [0, 2**32) (got {number}). Any integer in there does.")
    return number


def _largest_remainder(sizes: np.ndarray, count: int) -> np.ndarray:
    """Whole quotas that sum to `count`, each less than one off its exact share count · size / Σ sizes."""
    # in integers: shares of equal sizes must have equal remainders
    quotas, remainders = np.divmod(count * sizes, sizes.sum())
    largest = np.argsort(-remainders, kind="stable")[:count - quotas.sum()]
    quotas[largest] += 1
    return quotas


def _check_training_labels(values: np.ndarray, sizes: np.ndarray, quotas: np.ndarray) -> None:
    lacking = np.flatnonzero(sizes == quotas)
    if len(lacking):
        seen = ", ".join(f"{sizes[code]} of label {values[code]:g}" for code in lacking[:SHOWN])
        raise ValueError(f"stratify: the training part would lack a label (got {seen}; {len(lacking)} such labels). "
                         "Hold out less, give more examples, or stratify=False for outcomes that are not labels.")
