"""What this device can do at best: float32 products of matrices, and copying. Imports JAX: only workers may."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from bench import clock

SIDE = {"cpu": 1024, "gpu": 4096}  # of the square matrices that are multiplied
COPIED = {"cpu": 2**24, "gpu": 2**27}  # float32 numbers: 64 and 512 MiB, more than the caches hold
REPEATS = 10
SAMPLE_S = 0.1


@dataclass(frozen=True)
class Ceilings:
    """Samples of the two rates: operations a second in products, bytes a second read and written in copies."""

    matmul: list[float]
    copy: list[float]

    @property
    def matmul_flops(self) -> float:
        """Median rate of products, 2·side³ operations each.

        >>> Ceilings([1.0, 2.0, 4.0], [8.0]).matmul_flops
        2.0
        """
        return statistics.median(self.matmul)

    @property
    def copy_bytes_s(self) -> float:
        """Median rate of copies."""
        return statistics.median(self.copy)


def measure(repeats: int = REPEATS, sample_s: float = SAMPLE_S) -> Ceilings:
    """Both rates of the default device, interleaved, at the matmul precision that is set."""
    platform = jax.devices()[0].platform
    side, copied = (sizes.get(platform, sizes["gpu"]) for sizes in (SIDE, COPIED))
    jobs = [clock.calibrate(("matmul",), _products(side), sample_s, repeats),
            clock.calibrate(("copy",), _copies(copied), sample_s, repeats)]
    work = {"matmul": 2.0 * side**3, "copy": 2.0 * 4 * copied}
    rates: dict[str, list[float]] = {"matmul": [], "copy": []}
    for sample in clock.samples(jobs, seed=0):
        if not sample.warmup and not sample.voided:
            rates[sample.label[0]].append(work[sample.label[0]] * sample.count / sample.seconds)
    return Ceilings(rates["matmul"], rates["copy"])


def _products(side: int) -> Callable[[int], object]:
    matrix = jax.random.normal(jax.random.key(0), (side, side)) / side**0.5
    multiply = jax.jit(jnp.matmul).lower(matrix, matrix).compile()

    def run(count: int) -> object:
        product = matrix
        for _ in range(count):
            product = multiply(matrix, product)
        return product

    return run


def _copies(copied: int) -> Callable[[int], object]:
    """Each copy goes into the memory of the one before: on a CPU new memory costs ten times the copy itself."""
    add = jax.jit(lambda numbers: numbers + 1, donate_argnums=0).lower(jnp.zeros(copied)).compile()
    held = [jnp.zeros(copied)]

    def run(count: int) -> object:
        for _ in range(count):
            held[0] = add(held[0])
        return held[0]

    return run
