"""Where a program runs: on one device, or with a lane pool of its own on each of many, of many hosts too.

Lanes are independent, so the compiled program holds no word between devices: each goes through its own part of the
queue in its own time. Only when all are through do hosts give each other their outcomes.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from gdjax.engine import pool
from gdjax.problem import Problem, PyTree
from gdjax.stopping import Rules

Tree = TypeVar("Tree")
LANES, WHOLE = PartitionSpec("lanes"), PartitionSpec()


def mesh_of(devices: Sequence[jax.Device]) -> Mesh | None:
    """The mesh over some devices, one axis "lanes"; None for the one where everything runs anyway.

    >>> mesh_of(jax.devices()[:1]) is None
    True
    """
    if len(devices) == 1 and jax.process_count() == 1 and devices[0] == jax.devices()[0]:
        return None
    return jax.make_mesh((len(devices),), ("lanes",), axis_types=(AxisType.Auto,), devices=tuple(devices))


def on_each(shape: pool.Shape, data: PyTree, queue: pool.Queue, marks: jax.Array, rules: Rules
            ) -> tuple[pool.Outcome, jax.Array]:
    """`pool.run` as each device sees it: its part of the queue, of (1,) length; the steps it ran, (1,)."""
    outcome, ran = pool.run(shape, data, queue._replace(length=jnp.asarray(queue.length)[0]), marks, rules)
    return outcome, ran[None]


def jitted(shape: pool.Shape, mesh: Mesh | None) -> jax.stages.Wrapped:
    """The program of a shape, over the devices of a mesh if any; a queue's leading axes are spread over them."""
    program = functools.partial(on_each, shape)
    if mesh is None:
        return jax.jit(program)
    parts = (WHOLE, LANES, WHOLE, WHOLE)
    # check_vma: the loop's carry begins with constants, which it would call unvarying; nothing is summed over lanes
    spread = jax.shard_map(program, mesh=mesh, in_specs=parts, out_specs=LANES, check_vma=False)
    kinds = tuple(NamedSharding(mesh, part) for part in parts)
    return jax.jit(spread, in_shardings=kinds, out_shardings=NamedSharding(mesh, LANES))


def data_on(problem: Problem, mesh: Mesh | None) -> PyTree:
    """The problem's data where the program reads it: a copy on every device."""
    return problem.device_data() if mesh is None else _copies(problem, mesh, jax.config.read("jax_enable_x64"))


def placed(tree: Tree, mesh: Mesh | None, part: PartitionSpec) -> Tree:
    """Host arrays, equal on every host, as arguments of a program over a mesh; a host keeps what its devices need."""
    if mesh is None:
        return tree
    kind = NamedSharding(mesh, part)

    def place(leaf: np.ndarray) -> jax.Array:
        leaf = np.asarray(leaf)
        return jax.make_array_from_callback(leaf.shape, kind, lambda index: leaf[index])

    return jax.tree.map(place, tree)


def gathered(tree: Tree) -> Tree:
    """Results of a program as host arrays, whole on every host."""
    if all(leaf.is_fully_addressable for leaf in jax.tree.leaves(tree)):
        return jax.tree.map(np.asarray, tree)
    return jax.tree.map(np.asarray, multihost_utils.process_allgather(tree, tiled=True))


@functools.lru_cache(maxsize=16)
def _copies(problem: Problem, mesh: Mesh, x64: bool) -> PyTree:
    """Copies of the data on all devices of a mesh, kept; x64 decides their dtype."""
    return placed(problem.device_data(), mesh, WHOLE)
