"""Where a program runs: on one device, or with a lane pool of its own on each of many, of many hosts too.

Lanes are independent, so the compiled program holds no word between devices: each goes through its own part of the
queue in its own time. Only when all are through do hosts give each other their outcomes (`gdjax.blocks`).
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

from gdjax.problem import Problem, PyTree

Tree = TypeVar("Tree")
Piece = TypeVar("Piece")
Found = TypeVar("Found")
CPU_OPTIONS: dict[str, str | bool] = {"xla_cpu_prefer_vector_width": "512"}  # where it has such: 5 to 25 % less time
LANES, WHOLE = PartitionSpec("lanes"), PartitionSpec()


def mesh_of(devices: Sequence[jax.Device]) -> Mesh | None:
    """The mesh over some devices, one axis "lanes"; None for the one where everything runs anyway.

    >>> mesh_of(jax.devices()[:1]) is None
    True
    """
    if len(devices) == 1 and devices[0] == jax.local_devices()[0]:
        return None
    return jax.make_mesh((len(devices),), ("lanes",), axis_types=(AxisType.Auto,), devices=tuple(devices))


def jitted(function: Callable, mesh: Mesh | None, arguments: tuple[PartitionSpec, ...]) -> jax.stages.Wrapped:
    """A function that each device of a mesh runs on its part of the arguments; its results' leading axes are joined.

    Args:
        arguments: for each whether it is split over the devices (LANES) or seen by all (WHOLE).
    """
    if mesh is None:
        return jax.jit(function)
    # check_vma: the loop's carry begins with constants, which it would call unvarying; nothing is summed over lanes
    spread = jax.shard_map(function, mesh=mesh, in_specs=arguments, out_specs=LANES, check_vma=False)
    kinds = tuple(NamedSharding(mesh, part) for part in arguments)
    return jax.jit(spread, in_shardings=kinds, out_shardings=NamedSharding(mesh, LANES))


def compiler_options() -> dict[str, str | bool] | None:
    """What XLA is asked for on the default device."""
    return CPU_OPTIONS if jax.default_backend() == "cpu" else None


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
    x64 = jax.config.read("jax_enable_x64")

    def in_thread(piece: Piece) -> Found:
        with jax.enable_x64(x64):  # a thread does not inherit the caller's context
            return run(piece)

    with ThreadPoolExecutor(side_by_side() if mesh is None else 1) as threads:
        yield from threads.map(in_thread, pieces)


def data_on(problem: Problem, mesh: Mesh | None, field: str = "data") -> PyTree:
    """The problem's data, or its `held_out` examples, where a program reads them: a copy on every device."""
    if mesh is not None:
        return _copies(problem, mesh, field, jax.config.read("jax_enable_x64"))
    return problem.device_data() if field == "data" else problem.device_held_out()


def placed(tree: Tree, mesh: Mesh | None, part: PartitionSpec) -> Tree:
    """Host arrays, equal on every host, as arguments of a program over a mesh; a host keeps what its devices need."""
    if mesh is None:
        return tree
    kind = NamedSharding(mesh, part)

    def place(leaf: np.ndarray) -> jax.Array:
        leaf = np.asarray(leaf)
        return jax.make_array_from_callback(leaf.shape, kind, lambda index: leaf[index])

    return jax.tree.map(place, tree)


def on_host(tree: Tree) -> Tree:
    """Results as host arrays where this host holds all of them; else as they are."""
    return jax.tree.map(lambda leaf: np.asarray(leaf) if leaf.is_fully_addressable else leaf, tree)


@functools.lru_cache(maxsize=16)
def _copies(problem: Problem, mesh: Mesh, field: str, x64: bool) -> PyTree:
    """Copies of the data on all devices of a mesh, kept; x64 decides their dtype."""
    return placed(data_on(problem, None, field), mesh, WHOLE)
