"""Text as numbers: an outcome as labels 0…K−1, a feature as K columns of 0 and 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gdjax.data.checks import SHOWN

if TYPE_CHECKING:
    import pandas as pd


def encode(column: str, values: pd.Series, names: Sequence[str], place: Callable[[int], str]) -> np.ndarray:
    """Position of each value among the names, or a ValueError that says where other values are.

    Args:
        column: what errors call it.
        values: text, (examples,).
        names: the categories in their order.
        place: number of a row -> where it is, as the user sees it ("line 7").

    Returns:
        Whole numbers in float64, (examples,).
    """
    import pandas as pd

    codes = pd.Index(names).get_indexer(pd.Index(values))
    wrong = np.flatnonzero(codes < 0)
    if len(wrong):
        seen = ", ".join(f"{values.iloc[row]!r} at {place(int(row))}" for row in wrong[:SHOWN])
        raise ValueError(f"categories: column {column!r} must hold one of {', '.join(map(repr, names))} (got {seen}; "
                         f"{len(wrong)} in all). Add the name, or mend the row.")
    return codes.astype(np.float64)


def indicators(codes: np.ndarray, count: int) -> np.ndarray:
    """One column per category, 1 where it is the row's and 0 elsewhere: (examples, count)."""
    return (codes[:, None] == np.arange(count)).astype(np.float64)


def check_names(column: str, names: Sequence[str]) -> list[str]:
    """The categories of a column, or the reason why they cannot be: text, two or more, no two the same."""
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"categories: those of column {column!r} must be strings (got {names!r}). "
                        "Give a list of the texts in the column.")
    if len(set(names)) < max(2, len(names)):
        raise ValueError(f"categories: those of column {column!r} must be two or more different names (got {names!r}). "
                         "Leave a column that does not vary out with drop=.")
    return list(names)
