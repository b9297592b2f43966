"""How fast and steadily this machine runs a fixed program, and on which devices; JAX is imported in another process."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

TIMEOUT_S = 120
REPEATS = 10
SIDE = 1024  # of the square matrices that are multiplied
COPIED = 2**24  # float32 numbers, 64 MiB
STEPS = 4  # products, and copies, in one timing


@dataclass(frozen=True)
class Rates:
    """Devices as (platform, kind), float32 matmul rate, copy rate (read and written), and the repeats behind them."""

    devices: list[tuple[str, str]]
    matmul_flops: float
    copy_bytes_s: float
    seconds: list[float]  # ten times the same matmul program

    @property
    def noise(self) -> float:
        """Standard deviation over mean of the repeats.

        >>> Rates([], 0.0, 0.0, [1.0, 3.0]).noise
        0.7071067811865476
        """
        return statistics.stdev(self.seconds) / statistics.mean(self.seconds)


def measure_machine() -> tuple[Rates | None, str]:
    """Rates of the default device, measured in a process of its own, and what went wrong ("" if nothing did)."""
    try:
        done = subprocess.run([sys.executable, "-m", "bench.probe"], capture_output=True, text=True, timeout=TIMEOUT_S,
                              check=False)
    except subprocess.TimeoutExpired:
        return None, f"JAX did not answer in {TIMEOUT_S} s"
    if done.returncode:
        return None, (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    said = json.loads(done.stdout.splitlines()[-1])
    return Rates([(str(platform), str(kind)) for platform, kind in said["devices"]], said["matmul_flops"],
                 said["copy_bytes_s"], said["seconds"]), ""


def main() -> None:
    """Measure, and print one line of JSON."""
    import jax  # only in this process
    import jax.numpy as jnp

    jax.config.update("jax_default_matmul_precision", "highest")
    matrix = jax.random.normal(jax.random.key(0), (SIDE, SIDE)) / SIDE**0.5
    long = jnp.zeros(COPIED, jnp.float32)
    multiply = jax.jit(lambda x: jax.lax.fori_loop(0, STEPS, lambda _, y: x @ y, x)).lower(matrix).compile()
    copy = jax.jit(lambda x: x + 1).lower(long).compile()

    def seconds(run: jax.stages.Compiled, given: jax.Array) -> list[float]:
        found = []
        for _ in range(2 + REPEATS):  # two warm-ups
            began = time.perf_counter()
            jax.block_until_ready(run(given))
            found.append(time.perf_counter() - began)
        return found[2:]

    products, copies = seconds(multiply, matrix), seconds(copy, long)
    print(json.dumps({
        "devices": [[each.platform, each.device_kind] for each in jax.devices()], "seconds": products,
        "matmul_flops": STEPS * 2 * SIDE**3 / statistics.median(products),
        "copy_bytes_s": 2 * 4 * COPIED / statistics.median(copies),
    }))


if __name__ == "__main__":
    main()
