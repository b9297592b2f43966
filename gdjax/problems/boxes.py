"""Starts drawn from a box: what test functions have in common."""

from __future__ import annotations

from collections.abc import Callable

import jax


def box_starts(domain: tuple[float, float], dim: int = 2) -> Callable[[jax.Array], jax.Array]:
    """Starts U(low, high) in each of `dim` coordinates."""
    return lambda key: jax.random.uniform(key, (dim,), minval=domain[0], maxval=domain[1])
