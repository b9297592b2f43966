"""Data that no device holds whole: each has an equal part of the examples, and nothing brings the parts together.

What is summed over all examples (a loss, its gradient, a score) XLA's partitioner divides by itself: every device adds
up its part for all lanes, and the sums are added. The rows of a batch it would bring to every device, each of which
would then step every lane. So batches are fetched here, and each device steps slots of its own (64 lanes, B = 32, on
four devices made of two cores: 0.6 times the time on digits-softmax, 0.4 times on digits-mlp).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeGuard, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gdjax.engine import step as one
from gdjax.lapack import one_by_one
from gdjax.problem import Problem, PyTree

Tree = TypeVar("Tree")
AXIS = "examples"
SHARDED = PartitionSpec(AXIS)


def over_examples(mesh: Mesh | None) -> TypeGuard[Mesh]:
    """Whether the devices of a mesh share the examples, not the lanes."""
    return mesh is not None and AXIS in mesh.axis_names


def padded(like: jax.ShapeDtypeStruct, devices: int) -> jax.ShapeDtypeStruct:
    """The shape of a leaf of the data whose examples so many devices divide.

    >>> padded(jax.ShapeDtypeStruct((10, 3), np.float32), 4).shape
    (12, 3)
    """
    return jax.ShapeDtypeStruct((-(-like.shape[0] // devices) * devices, *like.shape[1:]), like.dtype)


def place(leaf: np.ndarray, like: jax.ShapeDtypeStruct, mesh: Mesh) -> jax.Array:
    """A leaf of the data in parts of equal length; a host reads the rows of its own devices only.

    The last example again fills the last part: its loss is finite where the others are, and is never counted.
    """
    whole = padded(like, mesh.size)

    def part(index: tuple[slice, ...] | None) -> np.ndarray:
        rows = np.arange(whole.shape[0])[... if index is None else index[0]]
        return leaf[np.minimum(rows, len(leaf) - 1)].astype(like.dtype)

    return jax.make_array_from_callback(whole.shape, NamedSharding(mesh, SHARDED), part)


def unpadded(data: Tree, examples: int) -> Tree:
    """The data without what fills the last part: for the partitioner a mask, no copy."""
    return jax.tree.map(lambda leaf: leaf[:examples], data)


def fetch(problem: Problem, part: PyTree, drawn: jax.Array) -> PyTree:
    """The batches of a device's own slots, (slots, batch, …) leaves, from the parts of all devices.

    Each looks up the examples of all slots, zeros where another holds them. The sum over devices is the example itself:
    adding zeros is exact.

    Args:
        part: the examples that this device holds.
        drawn: (slots, batch) its slots' examples.
    """
    rows = jax.tree.leaves(part)[0].shape[0]
    index = jax.lax.all_gather(drawn, AXIS, tiled=True) - rows * jax.lax.axis_index(AXIS)
    index = jnp.where(index < 0, rows, index)  # a negative one would count from the end
    found = jax.vmap(lambda index: one.take(problem, part, index, "fill"))(index)

    def own(leaf: jax.Array) -> jax.Array:
        numbers = leaf.astype(jnp.int8) if leaf.dtype == jnp.bool else leaf
        return jax.lax.psum_scatter(numbers, AXIS, tiled=True).astype(leaf.dtype)

    return jax.tree.map(own, found)


def with_own_slots(steps: Callable[..., Tree], mesh: Mesh) -> Callable[..., Tree]:
    """`steps(data, slots, count, rules)` -> slots, run by each device on its part of the data and of the slots.

    The number of slots must be a multiple of the devices. Before and after, all devices hold all of them: scoring wants
    every lane on every device, and the partitioner would divide the rest of the pool too, at a word for every look.
    """
    everywhere = PartitionSpec()
    # check_vma: the step's constants would count as unvarying; no gradient is summed over devices here
    each = jax.shard_map(one_by_one(steps), mesh=mesh, in_specs=(SHARDED, SHARDED, everywhere, everywhere),
                         out_specs=SHARDED, check_vma=False)

    def all_slots(slots: Tree) -> Tree:
        return jax.lax.with_sharding_constraint(slots, NamedSharding(mesh, everywhere))

    return lambda data, slots, *rest: all_slots(each(data, all_slots(slots), *rest))
