"""How many lanes should run side by side, where the caller leaves it open."""

from __future__ import annotations

import jax

from gdjax.problem import Problem
from gdjax.tiles import tile_of

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
# On a CPU a lane runs and is scored by itself where it has more parameters than this, bytes, or a step makes a larger
# array and computes a good deal with each example: two lanes would not stay in a second-level cache. Networks of 5,000
# to 200,000 parameters: steps of 1 to 64 examples 0.4 to 1.1 times 16 lanes, scores 0.3 to 1. (What computes little,
# softmax regression on thousands of examples, gains from 16 that read the data once.)
ALONE, MUCH = 256 << 10, 1 << 14
# So do lanes of which each core gets only a few, and whose step takes longer than a program takes to begin it: a
# program of 16 lanes is as slow with one as with 16. Operations of a step, and lanes a core.
HEAVY, FEW = 1 << 17, 8
# Of its memory, for the largest array of all lanes: a step keeps many such at once. Lanes, where arrays are small.
GPU_LANES, GPU_SHARE = 1 << 16, 1 / 64


def best_width(problem: Problem, batch_size: int, share: int | None = None) -> int:
    """The width for a problem and batch size on the default device: the largest power of two that the limits allow.

    Depends on the device, the number of parameters, whether batches are full, the largest array that a step makes of a
    lane and, where they are few and large, the number of lanes; so a call gets the same width every time.

    Args:
        share: lanes that each core gets; None where they fill any width.

    Example:
        >>> best_width(gdjax.problems.get("himmelblau"), 1), best_width(gdjax.problems.get("digits-softmax"), 32)
        (512, 64)
        >>> best_width(gdjax.problems.get("digits-mlp"), 1797, share=4)
        1
    """
    few = share is not None and share <= FEW and jax.default_backend() == "cpu"
    if alone(problem, batch_size) or (few and step_operations(problem, batch_size) > HEAVY):
        return 1
    parameters, largest = max(problem.parameter_bytes, 1), max(lane_bytes(problem, batch_size), 1)
    if jax.default_backend() != "cpu":
        stats = jax.local_devices()[0].memory_stats() or {}
        return power_within(int(stats.get("bytes_limit", 0) * GPU_SHARE) // largest, FEWEST, GPU_LANES)
    if problem.data is None:
        most, room = PLAIN
        return power_within(min(room // parameters, ARRAYS // largest), FEWEST, most)
    most, room = FULL if batch_size == problem.examples else BATCHES
    return power_within(room // parameters, FEWEST, most)


def alone(problem: Problem, batch_size: int) -> bool:
    """Whether a lane is better off without neighbours, however many there are.

    Example:
        >>> alone(gdjax.problems.get("digits-mlp"), 32)
        False
    """
    if jax.default_backend() != "cpu":
        return False
    much = step_operations(problem, batch_size) > MUCH * batch_size
    return problem.parameter_bytes > ALONE or (much and lane_bytes(problem, batch_size) > ALONE)


def power_within(number: int, least: int, most: int) -> int:
    """The largest power of two of at most a number, but from `least` to `most`.

    >>> power_within(100, 16, 512), power_within(3, 16, 512), power_within(9999, 16, 512)
    (64, 16, 512)
    """
    return 1 << (min(most, max(number, least)).bit_length() - 1)


def lane_bytes(problem: Problem, batch_size: int) -> int:
    """Bytes of the largest array that loss and gradient make of one lane's parameters and a batch.

    Example:
        >>> lane_bytes(gdjax.problems.get("himmelblau"), 1), lane_bytes(gdjax.problems.get("digits-mlp"), 1797)
        (8, 230016)
    """
    sizes = problem.sizes
    at_once = batch_size if problem.loss is None else tile_of(batch_size, sizes.example_bytes)
    return max(problem.parameter_bytes, sizes.lane_bytes, at_once * sizes.lane_example_bytes)


def step_operations(problem: Problem, batch_size: int) -> int:
    """Operations of loss and gradient of one lane on a batch, see `gdjax.sizes`."""
    return problem.sizes.operations + batch_size * problem.sizes.example_operations
