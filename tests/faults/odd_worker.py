"""The real worker, which fails at batch size 100 as FAULT asks: hangs, spins, aborts, raises, or runs out of memory."""

from __future__ import annotations

import os
import resource
from multiprocessing.connection import Connection

import jax.numpy as jnp

from bench import worker
from bench.experiment import Group, Result, measure
from tests.faults import fast_worker

SIZE = 100
SPARE_BYTES = 1_500_000_000  # of address space beyond what the process has when the fault begins


def main(connection: Connection, payload: dict[str, object]) -> None:
    """As the real worker's."""
    worker.measure = odd
    worker.main(connection, payload)


def odd(group: Group) -> Result:
    """The real measurement of the group, but for the one that fails."""
    fault = os.environ.get("FAULT", "")
    if group.batch_size == SIZE and fault == "memory":
        return in_little_memory(group)
    if group.batch_size == SIZE:
        fast_worker.misbehave(fault)
    return measure(group)


def in_little_memory(group: Group) -> Result:
    """Under a limit of the address space: a wide group asks for more than there is, a narrow one for little."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + SPARE_BYTES, hard))
    try:
        if group.suite.width >= int(os.environ.get("FAULT_WIDTH", "1")):
            jnp.ones((40, SPARE_BYTES // 40), jnp.float32).block_until_ready()
        return measure(group)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
