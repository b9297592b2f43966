"""How many lanes should run side by side, where the caller leaves it open."""

from __future__ import annotations

import jax

from gdjax.problem import Problem

FEWEST = 16  # lanes: results are bit-equal in any order at multiples of it
# Most lanes, and bytes of parameters that they may have together, on a CPU. Measured by CPU time per lane-step, widths
# from 16 to 4,096 (AMD EPYC, caches of 48 KiB and 1 MiB a core), within 1.3 times the best everywhere.
# Without data: beyond it XLA shares one step of a few microseconds between cores, which costs more than the step.
PLAIN = 512, 10 << 10
# With data: parameters, gradient and update stay in the second-level cache.
BATCHES = 512, 192 << 10
FULL = 64, 192 << 10  # full batches: outputs for every example and lane fill the cache first
GPU_LANES, GPU_SHARE = 1 << 16, 1 / 64  # of its memory; results, gradients and outputs take many times the parameters


def best_width(problem: Problem, batch_size: int) -> int:
    """The width for a problem and batch size on the default device: the largest power of two that the limits allow.

    Depends on the device, the number of parameters and whether batches are full, so a call gets the same width every
    time.

    Example:
        >>> best_width(gdjax.problems.get("himmelblau"), 1), best_width(gdjax.problems.get("digits-softmax"), 32)
        (512, 64)
    """
    if problem.data is None:
        most, room = PLAIN
    else:
        most, room = FULL if batch_size == problem.examples else BATCHES
    if jax.default_backend() != "cpu":
        stats = jax.local_devices()[0].memory_stats() or {}
        most, room = GPU_LANES, int(stats.get("bytes_limit", 0) * GPU_SHARE)
    lanes = min(most, max(room // max(problem.parameter_bytes, 1), FEWEST))
    return 1 << (lanes.bit_length() - 1)
