"""What is compared: a workload, gdjax's way to do it, and the peers' ways; each checked before any is timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

import gdjax

RIDGE = 1e-3  # λ of the shipped problems


@dataclass(frozen=True)
class Entry:
    """One way to do the work of a workload.

    Attributes:
        name: which system, and how its loop is written.
        run: does the work, or `share` of it, and returns arrays that can be waited for.
        losses: what `run` returned -> final losses of its lanes, (lanes,) float64, outside of the clock; None where the
            work is no training, of one lane only, or a share of the steps.
        difference: the largest relative difference of a loss from gdjax's on the same starts and the same batches; None
            where the peer can't be given batches.
        goal: how many times as long as gdjax's time it should take at least.
        share: which share of the workload one run does.
        cores: how many cores it uses, where a workload is counted in core-seconds.
    """

    name: str
    run: Callable[[], Any]
    losses: Callable[[Any], np.ndarray] | None
    difference: Callable[[], float] | None = None
    goal: float | None = None
    share: float = 1.0
    cores: int = 1


@dataclass(frozen=True)
class Workload:
    """Work that gdjax and its peers do, each with the same starts, rates and number of steps.

    Attributes:
        name: short, for the table.
        words: what is done.
        ours: gdjax.
        peers: the others.
        per_core: whether seconds count once for each core that is used.
        tolerance: how far the median final loss of a peer with batches of its own may be from ours, relative.
    """

    name: str
    words: str
    ours: Entry
    peers: tuple[Entry, ...]
    per_core: bool = False
    tolerance: float = 0.05

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All of them, gdjax first."""
        return self.ours, *self.peers


def examples(problem: gdjax.Problem) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, features) float32 and labels (n,) of a problem on labelled data."""
    X, y = jax.tree.leaves(problem.data)
    return np.asarray(X, np.float32), np.asarray(y)


def random_starts(problem: gdjax.Problem, count: int) -> dict[str, np.ndarray]:
    """The same starts for everybody, (count, …) leaves by name."""
    return cast("dict[str, np.ndarray]", gdjax.lanes.draw_starts(problem, jax.random.key(1), count))


def shuffled_batches(examples: int, batch: int, steps: int, starts: int, stream: int) -> np.ndarray:
    """The examples that gdjax draws in a call with key 0, (steps, starts, batch).

    Args:
        stream: 0 where the settings of a start share its batches, 1 where every lane has its own and there is one
            setting; see `gdjax.lanes.arrange`.
    """
    name = np.stack([np.arange(starts), np.full(starts, stream)], 1)
    seeds = gdjax.lanes.streams(jax.random.fold_in(jax.random.key(0), gdjax.lanes.KEY_BATCHES), name)
    begin = np.arange(steps) * batch
    epoch, position = jnp.asarray(begin // examples, jnp.int32), jnp.asarray(begin % examples, jnp.int32)

    def drawn(seed: jax.Array, epoch: jax.Array, position: jax.Array) -> jax.Array:
        return gdjax.sampling.batch("shuffle", examples, batch, seed, epoch, position)

    return np.asarray(jax.vmap(jax.vmap(drawn, (0, None, None)), (None, 0, 0))(jnp.asarray(seeds), epoch, position))


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest relative difference, ∞ where one is not finite and the other is.

    >>> relative(np.array([1.0, 2.0]), np.array([1.0, 2.5]))
    0.2
    """
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    both = np.isfinite(found) & np.isfinite(expected)
    if not (both == (np.isfinite(found) | np.isfinite(expected))).all():
        return float("inf")
    return float(np.max(np.abs(found[both] - expected[both]) / np.maximum(np.abs(expected[both]), 1e-12), initial=0.0))
