"""Where a program runs: on one device, or with a lane pool of its own on each of many, of many hosts too.

Lanes are independent, so the compiled program holds no word between devices: each goes through its own part of the
queue in its own time. Only when all are through do hosts give each other their outcomes (`gdjax.blocks`). Where the
data do not fit on one device, devices share the examples instead, and one pool goes over all of them (`sharding`).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from gdjax import tiles
from gdjax.engine import sharding
from gdjax.lapack import one_by_one
from gdjax.problem import Problem, PyTree
from gdjax.threads import as_here

Tree = TypeVar("Tree")
Piece = TypeVar("Piece")
Found = TypeVar("Found")
EXAMPLES, LANES, WHOLE = sharding.SHARDED, PartitionSpec("lanes"), PartitionSpec()


def mesh_of(devices: Sequence[jax.Device], shard_examples: bool = False) -> Mesh | None:
    """The mesh over some devices, one axis named for what they share; None for the one where everything runs anyway.

    >>> mesh_of(jax.devices()[:1]) is None
    True
    """
    if len(devices) == 1 and devices[0] == jax.local_devices()[0]:
        return None
    shared = sharding.AXIS if shard_examples else "lanes"
    return jax.make_mesh((len(devices),), (shared,), axis_types=(AxisType.Auto,), devices=tuple(devices))


def pools(mesh: Mesh | None) -> int:
    """Lane pools that run side by side: one for each device that shares the lanes.

    >>> pools(None)
    1
    """
    return 1 if mesh is None or sharding.over_examples(mesh) else mesh.size


def jitted(function: Callable, mesh: Mesh | None, arguments: tuple[PartitionSpec, ...]) -> jax.stages.Wrapped:
    """A function that each device of a mesh runs on its part of the arguments; its results' leading axes are joined.

    Over examples it is one function of all devices, divided by XLA's partitioner, and each device has the whole result.

    Args:
        arguments: for each whether it is split over the devices (EXAMPLES, LANES) or seen by all (WHOLE).
    """
    function = one_by_one(function)
    if mesh is None:
        return jax.jit(function)
    kinds = tuple(_kind(mesh, part) for part in arguments)
    if sharding.over_examples(mesh):
        function = tiles.untiled()(function)
    else:
        # check_vma: the loop's carry begins with constants, which it would call unvarying; nothing is summed over lanes
        function = jax.shard_map(function, mesh=mesh, in_specs=tuple(kind.spec for kind in kinds), out_specs=LANES,
                                 check_vma=False)
    return jax.jit(function, in_shardings=kinds, out_shardings=_kind(mesh, LANES))


def context() -> tuple[bool, str | None, str]:
    """What a compiled program depends on beside its arguments: x64, precision, backend.

    >>> context()
    (False, None, 'cpu')
    """
    return jax.config.read("jax_enable_x64"), jax.default_matmul_precision.value, jax.default_backend()


def side_by_side() -> int:
    """Pieces of work that run at once: one for each core on a CPU, one on a GPU."""
    if jax.default_backend() != "cpu":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def mapped(run: Callable[[Piece], Found], pieces: Sequence[Piece], mesh: Mesh | None) -> Iterator[Found]:
    """What `run` gives for every piece, in order; pieces run side by side, over a mesh one after another.

    The operations of a piece are too small to be split, so that it keeps one core busy: twice as fast on two.
    """
    with ThreadPoolExecutor(side_by_side() if mesh is None else 1) as threads:
        yield from threads.map(as_here(run), pieces)


def data_on(problem: Problem, mesh: Mesh | None, field: str = "data") -> PyTree:
    """The problem's data, or its `held_out` examples, where a program reads them: a copy or a part on every device."""
    if mesh is not None:
        return problem.once(("on mesh", mesh, field), lambda: _on_mesh(problem, mesh, field))
    return problem.device_data() if field == "data" else problem.device_held_out()


def data_like(problem: Problem, mesh: Mesh | None, field: str = "data") -> PyTree:
    """Shapes and dtypes of `data_on`; nothing is copied."""
    like = problem.like(field)
    return jax.tree.map(lambda leaf: sharding.padded(leaf, mesh.size), like) if sharding.over_examples(mesh) else like


def placed(tree: Tree, mesh: Mesh | None, part: PartitionSpec) -> Tree:
    """Host arrays, equal on every host, as arguments of a program over a mesh; a host keeps what its devices need."""
    if mesh is None:
        return tree
    kind = _kind(mesh, part)

    def place(leaf: np.ndarray) -> jax.Array:
        leaf = np.asarray(leaf)
        return jax.make_array_from_callback(leaf.shape, kind, lambda index: leaf[index])

    return jax.tree.map(place, tree)


def on_host(tree: Tree) -> Tree:
    """Results as host arrays where this host holds all of them; else as they are."""
    def fetched(leaf: jax.Array) -> jax.Array | np.ndarray:
        return np.asarray(leaf) if leaf.is_fully_addressable or leaf.is_fully_replicated else leaf

    return jax.tree.map(fetched, tree)


def _kind(mesh: Mesh, part: PartitionSpec) -> NamedSharding:
    """How an argument lies on a mesh: whole, where the part is along an axis that the mesh does not have."""
    return NamedSharding(mesh, part if set(part) <= set(mesh.axis_names) else WHOLE)


def _on_mesh(problem: Problem, mesh: Mesh, field: str) -> PyTree:
    """The data on all devices of a mesh."""
    if sharding.over_examples(mesh):
        place = functools.partial(sharding.place, mesh=mesh)
        return jax.tree.map(place, getattr(problem, field), problem.like(field))
    return placed(data_on(problem, None, field), mesh, WHOLE)
