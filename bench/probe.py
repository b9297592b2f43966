"""How fast and steadily this machine runs a fixed program, and on which devices; JAX is imported in another process."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass

TIMEOUT_S = 120


@dataclass(frozen=True)
class Rates:
    """Devices as (platform, kind), float32 matmul rate, copy rate (read and written), and the repeats behind them."""

    devices: list[tuple[str, str]]
    matmul_flops: float
    copy_bytes_s: float
    seconds: list[float]  # an operation of the same matmul program, ten times

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

    from bench import ceilings

    jax.config.update("jax_default_matmul_precision", "highest")
    found = ceilings.measure()
    print(json.dumps({
        "devices": [[each.platform, each.device_kind] for each in jax.devices()],
        "seconds": [1 / rate for rate in found.matmul],
        "matmul_flops": found.matmul_flops, "copy_bytes_s": found.copy_bytes_s,
    }))


if __name__ == "__main__":
    main()
