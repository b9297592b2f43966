"""Weak scaling that one machine can show: `python -m tests.bench.weak_scaling`, two cores against one.

A process pinned to one core runs a sweep by itself, then two do so at once, each on a core of its own: as two shards of
a sweep, and as two hosts of one program (`jax.distributed`), each with the lanes of one. Ratio: lanes per second of the
two over those of the one; 2 is perfect.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import time

import numpy as np

STARTS, RATES, STEPS, SAMPLES = 64, 16, 400, 7
LIMIT = 1.8


def worker(core: int, place: str, number: int, hosts: int) -> None:
    """One process: says it is ready, and runs a sweep for every line that it hears."""
    os.sched_setaffinity(0, {core})
    import jax

    import gdjax

    if hosts > 1:
        jax.distributed.initialize(place, num_processes=hosts, process_id=number)
    problem, rates = gdjax.problems.get("digits-softmax"), list(np.logspace(-2, 0, RATES))

    def sweep() -> None:
        gdjax.minibatch(problem, batch_size=32, rates=rates, starts=STARTS * hosts, key=0, max_steps=STEPS,
                        devices=hosts if hosts > 1 else None)

    sweep()  # compiles
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        sweep()
        print(json.dumps(time.perf_counter() - began), flush=True)


class Pinned:
    """Processes on the first cores; `hosts`: as hosts of one program."""

    def __init__(self, cores: list[int], hosts: bool) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            place = f"127.0.0.1:{probe.getsockname()[1]}"
        self.each = [subprocess.Popen(
            [sys.executable, "-m", "tests.bench.weak_scaling", str(core), place, str(number),
             str(len(cores) if hosts else 1)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            for number, core in enumerate(cores)]
        for process in self.each:
            assert process.stdout is not None
            assert "ready\n" in process.stdout, "a process did not start"  # reads up to it, over what Gloo says

    def seconds(self) -> float:
        """Wall seconds until all are through one sweep that they begin together."""
        began = time.perf_counter()
        for process in self.each:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in self.each:
            assert process.stdout is not None
            process.stdout.readline()
        return time.perf_counter() - began

    def end(self) -> None:
        for process in self.each:
            assert process.stdin is not None
            process.stdin.close()
        for process in self.each:  # hosts of one program end together
            process.wait()


def main() -> None:
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        sys.exit("error: weak_scaling: two cores are needed (got one). Run it on a larger machine.")
    for name, hosts in (("two shards", False), ("two hosts of one program", True)):
        one, two = Pinned(cores[:1], False), Pinned(cores, hosts)
        pairs = [(one.seconds(), two.seconds()) for _ in range(SAMPLES)]  # in turn: both see the same machine
        one.end()
        two.end()
        ratios = [2 * alone / together for alone, together in pairs]
        lanes = STARTS * RATES
        alone, together = (statistics.median(times) for times in zip(*pairs, strict=True))
        print(f"{name}: {statistics.median(ratios):.2f}× [{min(ratios):.2f}, {max(ratios):.2f}] of one process (limit "
              f"{LIMIT}); {lanes:,} lanes × {STEPS} steps in {alone:.2f} s by one, twice that in {together:.2f} s")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        worker(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
