"""Blocks of rows, one after another, put into whole host arrays; hosts exchange what each of them computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

Tree = TypeVar("Tree")


def places(first: int, rows: int, length: int) -> np.ndarray:
    """Where the rows of a block from `first` on go, (rows,), −1 beyond the end.

    >>> places(4, 4, 6).tolist()
    [4, 5, -1, -1]
    """
    row = np.arange(first, first + rows)
    return np.where(row < length, row, -1)


def in_places(blocks: Iterable[tuple[np.ndarray, Tree]], length: int) -> Tree:
    """Results, block after block, as host arrays with a leading (length,) axis, whole on every host.

    Each block is copied to its places and let go, so that the memory beside the whole is that of one block: a list of
    blocks takes it all twice, in small pieces that the allocator keeps. Hosts give each other their rows once, at the
    end.

    Args:
        blocks: the place of every row, −1 for one that nobody looks at, and the results, (rows, …) leaves.

    >>> in_places([(np.array([1, -1]), np.array([5, 7])), (np.array([0, 2]), np.array([8, 9]))], 3).tolist()
    [8, 5, 9]
    """
    whole: list[np.ndarray] = []
    mine, apart, tree = np.zeros(length, bool), False, jax.tree.structure(None)
    for at, block in blocks:
        leaves, tree = jax.tree.flatten(block)
        whole = whole or [np.empty((length, *leaf.shape[1:]), leaf.dtype) for leaf in leaves]
        for target, leaf in zip(whole, leaves, strict=True):
            apart = apart or not (isinstance(leaf, np.ndarray) or leaf.is_fully_addressable)
            for rows, values in _rows_here(leaf):
                wanted = at[rows] >= 0
                target[at[rows][wanted]] = values[wanted]
                mine[at[rows][wanted]] = True
    if apart:  # the same on every host: one that has all rows must take part too
        whole = _exchanged(whole, mine)
    return jax.tree.unflatten(tree, whole)


def _rows_here(leaf: jax.Array | np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of an array that this host holds, once each, and their values."""
    if isinstance(leaf, np.ndarray) or leaf.is_fully_addressable:
        yield slice(None), np.asarray(leaf)
        return
    for shard in leaf.addressable_shards:
        yield shard.index[0], np.asarray(shard.data)


def _exchanged(whole: list[np.ndarray], mine: np.ndarray) -> list[np.ndarray]:
    """The arrays filled with the rows of all hosts; every host sends as many rows as the one with the most."""
    everyone = np.asarray(multihost_utils.process_allgather(mine))
    most = int(everyone.sum(axis=1).max())
    rows = np.resize(np.flatnonzero(mine), most)
    found = multihost_utils.process_allgather([leaf[rows] for leaf in whole])
    for host, theirs in enumerate(everyone):
        row = np.flatnonzero(theirs)
        for leaf, sent in zip(whole, found, strict=True):
            leaf[row] = np.asarray(sent[host])[: len(row)]
    return whole
