"""Points -> groups: a grid that keeps one point a cell, and single linkage of very many points."""

from __future__ import annotations

import math

import numpy as np


def representatives(points: np.ndarray, norm: np.ndarray, diagonal: float) -> tuple[np.ndarray, np.ndarray]:
    """Of the points in one grid cell of this diagonal, that of the smallest `norm`: (cells,) rows; and (points,) cells.

    >>> gdjax.linkage.representatives(np.array([[0.1], [0.2], [5.0]]), np.array([2.0, 1.0, 3.0]), 1.0)[0].tolist()
    [1, 2]
    """
    cell = _cells(points, diagonal)
    order = np.lexsort((norm, cell))
    first = np.flatnonzero(np.diff(cell[order], prepend=-1))
    return order[first], cell


def link(points: np.ndarray, radius: float) -> np.ndarray:
    """Single linkage: points that steps of at most `radius` from point to point connect share a number, (points,).

    Points in one cell of half the radius count as one, at their mean: coincident points make no pairs.

    >>> gdjax.linkage.link(np.array([[0.0], [0.9], [1.8], [3.0]]), 1.0).tolist()
    [0, 0, 0, 1]
    """
    cell = _cells(points, radius / 2)
    count = np.bincount(cell)
    centre = np.stack([np.bincount(cell, column) / count for column in points.T], axis=1)
    if len(centre) == 1:
        return cell
    from scipy.sparse import coo_array  # scipy comes with jax
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    one, other = cKDTree(centre).query_pairs(radius, output_type="ndarray").T
    links = coo_array((np.ones(len(one), bool), (one, other)), shape=(len(centre), len(centre)))
    return connected_components(links, directed=False)[1][cell]


def _cells(points: np.ndarray, diagonal: float) -> np.ndarray:
    """Number of the grid cell of each point, (points,) 0, 1, …; cells have this diagonal."""
    corner = np.clip(np.floor(points * (math.sqrt(points.shape[1]) / diagonal)), -(2.0**62), 2.0**62)
    mixed = np.zeros(len(points), np.uint64)
    for column in corner.T:  # 64-bit mixing: two of a million cells share a number once in 4e7 runs
        mixed = (mixed ^ column.astype(np.int64).view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return np.unique(mixed, return_inverse=True)[1]
