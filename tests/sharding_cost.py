"""What it costs that no device holds all examples: `python -m tests.sharding_cost`, four devices made of one CPU.

64 lanes of digits-softmax, stepped where every device has a copy of the data (16 lanes each), and where each has a
quarter: time of a step of all lanes, measured in turn, what the examples take on a device, what it receives in a step.
"""

from __future__ import annotations

import os
import statistics
import time

DEVICES, LANES, SAMPLES = 4, 64, 11


def main() -> None:
    """Prints a line for each batch size."""
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={DEVICES}"
    import jax

    import gdjax

    problem = gdjax.problems.get("digits-softmax")
    setting = gdjax.Setting(gdjax.schedules.constant(), 0.05)
    row = sum(leaf[0].nbytes for leaf in jax.tree.leaves(problem.device_data()))
    for size, steps in ((32, 500), (problem.examples, 50)):
        call = {"batch_size": size, "devices": DEVICES}
        programs = [gdjax.compile(problem, width=LANES // DEVICES, **call),
                    gdjax.compile(problem, width=LANES, shard_examples=True, **call)]
        assert [program.lanes for program in programs] == [LANES, LANES]
        runs = [program.stepper([setting]) for program in programs]
        seconds: list[list[float]] = [[], []]
        for _ in range(SAMPLES + 2):
            for run, kept in zip(runs, seconds, strict=True):
                began = time.perf_counter()
                jax.block_until_ready(run(steps))
                kept.append((time.perf_counter() - began) / steps)
        copied, shared = (statistics.median(kept[2:]) for kept in seconds)
        moved = 2 * LANES * problem.parameter_bytes if size == problem.examples else LANES * size * (row + 4)
        print(f"batch {size}: {copied * 1e6:.0f} µs a step copied, {shared * 1e6:.0f} µs shared, {shared / copied:.2f} "
              f"times; {row * problem.examples / 1e3:.0f} and {row * -(-problem.examples // DEVICES) / 1e3:.0f} kB of "
              f"examples on a device; {moved * (DEVICES - 1) / DEVICES / 1e3:.0f} kB received by each in a step")


if __name__ == "__main__":
    main()
