"""How many lanes should run side by side, where the caller leaves it open."""

from __future__ import annotations

import math
from typing import Any

import jax

from gdjax.problem import Problem
from gdjax.rewriting import programs

FEWEST = 16  # lanes: results are bit-equal in any order at multiples of it
# Most lanes, and bytes of parameters that they may have together, on a CPU. Measured by CPU time per lane-step, widths
# from 16 to 4,096 (AMD EPYC, caches of 48 KiB and 1 MiB a core), within 1.3 times the best everywhere.
# Without data: beyond it XLA shares one step of a few microseconds between cores, which costs more than the step.
PLAIN = 512, 10 << 10
# The same, where a loss makes large arrays of a lane: no more than this of one of them. With 20 × 20, 60 × 60 and
# 150 × 150 numbers of a lane (Gaussian processes) within 1.1 times the best of 16, 64 and 512 lanes.
ARRAYS = 1 << 20
# With data: parameters, gradient and update stay in the second-level cache.
BATCHES = 512, 192 << 10
FULL = 64, 192 << 10  # full batches: outputs for every example and lane fill the cache first
GPU_LANES, GPU_SHARE = 1 << 16, 1 / 64  # of its memory; results, gradients and outputs take many times the parameters
LANES = 4099  # a prime: an axis as long as this is that of the lanes


def best_width(problem: Problem, batch_size: int) -> int:
    """The width for a problem and batch size on the default device: the largest power of two that the limits allow.

    Depends on the device, the number of parameters, whether batches are full and, without data, the largest array that
    the loss makes of a lane; so a call gets the same width every time.

    Example:
        >>> best_width(gdjax.problems.get("himmelblau"), 1), best_width(gdjax.problems.get("digits-softmax"), 32)
        (512, 64)
    """
    if problem.data is None:
        (most, room), largest = PLAIN, lane_bytes(problem)
    else:
        (most, room), largest = FULL if batch_size == problem.examples else BATCHES, 1
    arrays = ARRAYS
    if jax.default_backend() != "cpu":
        stats = jax.local_devices()[0].memory_stats() or {}
        most, room = GPU_LANES, int(stats.get("bytes_limit", 0) * GPU_SHARE)
        arrays = room
    return power_within(min(room // max(problem.parameter_bytes, 1), arrays // max(largest, 1)), FEWEST, most)


def power_within(number: int, least: int, most: int) -> int:
    """The largest power of two of at most a number, but from `least` to `most`.

    >>> power_within(100, 16, 512), power_within(3, 16, 512), power_within(9999, 16, 512)
    (64, 16, 512)
    """
    return 1 << (min(most, max(number, least)).bit_length() - 1)


def lane_bytes(problem: Problem) -> int:
    """Bytes of the largest array that loss and gradient make of one lane's parameters, of a problem without data.

    Example:
        >>> lane_bytes(gdjax.problems.get("himmelblau"))
        8
    """
    def largest() -> int:
        lanes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((LANES, *leaf.shape), leaf.dtype), problem.shapes)
        many = jax.vmap(lambda params: jax.value_and_grad(problem.objective)(params, None))
        return max(problem.parameter_bytes, _largest(jax.make_jaxpr(many)(lanes).jaxpr))

    return problem.once("lane bytes", largest)


def _largest(jaxpr: Any) -> int:
    """Bytes a lane of the largest array with an axis of lanes in a program and in those of its loops and branches."""
    found = [0]
    for equation in jaxpr.eqns:
        found += [math.prod(each.aval.shape) // LANES * each.aval.dtype.itemsize for each in equation.outvars
                  if LANES in getattr(each.aval, "shape", ())]
        found += map(_largest, programs(equation))
    return max(found)
