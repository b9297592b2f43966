"""The bootstrap's draws: which values each resample holds, the same ones for all quantities of as many starts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

Array = np.ndarray
RESAMPLES = 10_000
_CHUNK = 4_000_000  # numbers drawn at once: bounds memory when there are very many lanes


@lru_cache(maxsize=64)
def middle_ranks(size: int, seed: int) -> tuple[Array, Array]:
    """Ranks of the two middle values of each resample of so many values."""
    return middle_places(size, seed, np.arange(size))


def middle_places(size: int, seed: int, order: Array) -> tuple[Array, Array]:
    """Ranks of the two middle values of each resample: how many values were not yet half of it, from the smallest on.

    Args:
        order: (size,) the values' places, smallest first.
    """
    lower, upper = [], []
    for counts in counts_drawn(size, seed):
        drawn, low, high = (np.zeros(counts.shape[1], counts.dtype) for _ in range(3))
        for count in counts[order]:
            drawn += count
            low += drawn <= (size - 1) // 2
            high += drawn <= size // 2
        lower.append(low.astype(np.intp))
        upper.append(high.astype(np.intp))
    return np.concatenate(lower), np.concatenate(upper)


def counts_drawn(size: int, seed: int) -> Iterator[Array]:
    """How often each resample of `draws_of` holds each value: (values, resamples), in the order of `draws_of`."""
    if size * RESAMPLES <= _CHUNK:
        yield _small_counts(size, seed)
        return
    for draws in draws_of(size, seed):
        yield _counted(draws)


def _counted(draws: Array) -> Array:
    resamples, size = draws.shape
    places = (draws + size * np.arange(resamples)[:, None]).ravel()
    counts = np.bincount(places, minlength=draws.size).reshape(draws.shape)
    return np.ascontiguousarray(counts.T.astype(np.min_scalar_type(size)))


def draws_of(size: int, seed: int) -> Iterator[Array]:
    """Places of the values that each resample holds, (resamples, size), some resamples at a time."""
    if size * RESAMPLES <= _CHUNK:
        yield _small_draws(size, seed)
        return
    generator = np.random.default_rng([seed, size])
    rows = max(1, _CHUNK // size)
    for first in range(0, RESAMPLES, rows):
        yield generator.integers(0, size, (min(rows, RESAMPLES - first), size))


@lru_cache(maxsize=4)
def _small_draws(size: int, seed: int) -> Array:
    return np.random.default_rng([seed, size]).integers(0, size, (RESAMPLES, size))


@lru_cache(maxsize=4)
def _small_counts(size: int, seed: int) -> Array:
    return _counted(_small_draws(size, seed))
