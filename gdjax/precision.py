"""Half precision: what is summed, squared or counted needs more digits than it has."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def at_least_float32(array: jax.Array) -> jax.Array:
    """The array, or number, in float32 where it is in half precision, unchanged where it is in float32 or float64.

    >>> at_least_float32(jnp.ones(2, jnp.bfloat16)).dtype
    dtype('float32')
    """
    array = jnp.asarray(array)
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))
