"""What the data of a problem must be: arrays of numbers, a row for each example, that JAX holds as they are."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import reading

PyTree = object
SHOWN = 5  # places named in an error


def check_data(name: str, data: PyTree, field: str = "data", dtype: str | None = None) -> PyTree:
    """Data as host arrays, or an error that names the problem, the leaf, and the first five places.

    Args:
        dtype: what floats become on the device; None: what JAX makes of them.

    Raises:
        TypeError: a leaf holds no numbers.
        ValueError: no leaves, or rows; leaves of unequal length; numbers that are not finite, or that are not those
            that JAX would hold.

    >>> check_data("mine", {"x": np.ones((2, 3)), "label": np.array([0, 1])})["x"].shape
    (2, 3)
    """
    found, tree = jax.tree.flatten_with_path(data)
    leaves = [(jax.tree_util.keystr(path), leaf) for path, leaf in found]
    for path, leaf in leaves:
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            raise TypeError(f"problem {name!r}: {field}{path}: must hold numbers (got keys of JAX). "
                            "Use jax.random.key_data, and wrap_key_data in the loss.")
    arrays = [(path, np.asarray(leaf)) for path, leaf in leaves]
    if not arrays:
        raise ValueError(f"problem {name!r}: {field}: holds no arrays (got {data!r}). "
                         "Use data=None for a problem without data.")
    shapes = ", ".join(f"{path or field} {array.shape}" for path, array in arrays)
    for path, array in arrays:
        if not any(jnp.issubdtype(array.dtype, kind) for kind in (jnp.floating, jnp.integer, jnp.bool)):
            raise TypeError(f"problem {name!r}: {field}{path}: must hold numbers (got dtype {array.dtype}). "
                            "Encode it first.")
        if array.ndim == 0 or 0 in array.shape:
            raise ValueError(f"problem {name!r}: {field}{path}: needs rows and columns (got shapes {shapes}). "
                             "Every leaf has a leading axis of examples.")
    if len({array.shape[0] for _, array in arrays}) > 1:
        raise ValueError(f"problem {name!r}: {field}: leaves must share their leading (examples) axis (got {shapes}). "
                         "Cut them to one length.")
    for path, array in arrays:
        _check_numbers(f"problem {name!r}: {field}{path}", array, dtype)
    return jax.tree.unflatten(tree, [array for _, array in arrays])


def _check_numbers(field: str, array: np.ndarray, dtype: str | None) -> None:
    floats = jnp.issubdtype(array.dtype, jnp.floating)
    held = np.dtype(dtype) if floats and dtype else jax.dtypes.canonicalize_dtype(array.dtype)
    if floats:
        _check(field, array, np.isfinite, "values must be finite (got NaN or inf at {where}). Drop or fill these rows.")
    if held.itemsize >= array.dtype.itemsize or array.dtype == bool:
        return
    info = jnp.finfo(held) if floats else jnp.iinfo(held)
    most = float(info.max) if floats else info.max
    smaller = "Scale them" if floats else "Count from 0"
    chosen = floats and dtype and jax.config.read("jax_enable_x64")
    longer = "leave dtype out" if chosen else "call jax.config.update('jax_enable_x64', True) first"
    _check(field, array, lambda rows: (rows <= most) & (rows >= (-most if floats else info.min)),
           f"values must fit {held}, which they become (got larger ones of {array.dtype} at {{where}}). {smaller}, or "
           f"{longer}.")


def _check(field: str, array: np.ndarray, good: Callable[[np.ndarray], np.ndarray], words: str) -> None:
    for first, rows in reading.blocks_of(array):
        fine = good(rows)
        if fine.all():
            continue
        where = ", ".join(f"row {first + row}" + "".join(f" column {each}" for each in columns)
                          for row, *columns in np.argwhere(~fine)[:SHOWN])
        raise ValueError(f"{field}: {words.format(where=where)}")
