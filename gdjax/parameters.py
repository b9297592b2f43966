"""Parameters that a caller gives, checked against a problem's own: starts of many lanes, or one point."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import arguments
from gdjax.problem import Problem, PyTree
from gdjax.scalars import is_whole


def starts(problem: Problem, value: object) -> int | PyTree:
    """A number of starts, or parameters with a leading (starts,) axis that fit the problem's own."""
    if is_whole(value):
        return arguments.positive_int("starts", value, "starts")
    if isinstance(value, bool | float):
        raise TypeError(f"starts: must be a whole number, or parameters with a leading axis (got {value!r}). "
                        "Use an int.")
    wanted = _tree_of("starts", problem, value)
    counts = {}
    for (path, leaf), want in zip(jax.tree.leaves_with_path(value), jax.tree.leaves(wanted), strict=True):
        name = f"starts{jax.tree_util.keystr(path)}"
        leaf = np.asarray(leaf)
        if leaf.shape[1:] != want.shape or leaf.ndim == 0:
            shape = ", ".join(map(str, ["starts", *want.shape]))
            raise ValueError(f"{name}: must have shape ({shape}) (got {leaf.shape}). Stack them along a first axis.")
        if leaf.dtype.kind not in "fiu" and not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise TypeError(f"{name}: must hold real numbers (got dtype {leaf.dtype}). Give floats.")
        counts[name] = leaf.shape[0]
    if len(set(counts.values())) > 1:
        raise ValueError(f"starts: leaves must share their leading (starts) axis (got {counts}). "
                         "Cut them to one length.")
    if 0 in counts.values():
        raise ValueError(f"starts: at least one start is needed (got {counts}). Give parameters with rows.")
    return jax.tree.map(lambda leaf, want: np.asarray(leaf, want.dtype), value, wanted)


def point(problem: Problem, value: PyTree) -> PyTree:
    """Parameters with the tree and shapes of the problem's own."""
    for (path, leaf), want in zip(jax.tree.leaves_with_path(value),
                                  jax.tree.leaves(_tree_of("params", problem, value)), strict=True):
        if np.shape(leaf) != want.shape:
            raise ValueError(f"params{jax.tree_util.keystr(path)}: must have shape {want.shape} (got "
                             f"{np.shape(leaf)}). Give them as init does.")
    return value


def _tree_of(field: str, problem: Problem, value: object) -> PyTree:
    """Shapes of the problem's parameters, if the given ones have their tree."""
    given: object = jax.tree.structure(value)
    tree: object = jax.tree.structure(problem.shapes)
    if tree != given:
        raise ValueError(f"{field}: parameters must have the problem's tree (got {given}). "
                         f"Give them as init does: {tree}.")
    return problem.shapes
